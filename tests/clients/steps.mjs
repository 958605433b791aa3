// What do the Node clients send, and what must come back?

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

export const path = '/v3/stable/api/storage';

const needed = (name) => {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(1);
  }
  return value;
};

export const url = needed('DCAMS_URL').replace(/\/+$/, '') + path;
export const key = needed('DCAMS_KEY');

const image = (name) => readFileSync(join(needed('DCAMS_IMAGES'), name)).toString('base64');

// Takes all steps with `post`, which sends one body and gives {status, mediaType, body}; `connections` tells how many
// were opened, of which there may be `most`.
export async function walk(client, post, connections, most = 1) {
  const fail = (step, why) => {
    console.error(`FAILED ${client}: ${step}: ${why}`);
    process.exit(1);
  };
  const email = `${client}-${process.hrtime.bigint()}@example.com`;
  const [photo, scan] = [image('phone-photo.jpg'), image('scan.png')];

  const step = async (name, service, target, wanted = {}) => {
    const reference = service === 'createOrUpdateCustomer' ? { reference: '888888812' } : {};
    const answer = await post({ service, ...reference, target });
    if (answer.status !== 200 || answer.body.result !== 'Success') {
      fail(name, `${answer.status} ${JSON.stringify(answer.body).slice(0, 300)}`);
    }
    for (const [member, value] of Object.entries(wanted)) {
      if (answer.body[member] !== value) fail(name, `${member} is not ${value}`);
    }
    console.log(`ok ${client}: ${name}`);
    return answer.body;
  };
  const images = async (name, front, back) => {
    const body = await step(name, 'getDocumentImages', { email });
    if (!isDeepStrictEqual(body.target.documents, { front, back })) fail(name, 'the images are not those that were sent');
  };

  const person = {
    email, fn: 'Zoë', ln: "O'Neil", addr: '123 Main St', city: 'Stratford',
    state: 'CT', zip: '06614', dob: '19700101', phone: '2015106000',
  };
  const created = await step(
    `created with two photos of ${photo.length} bytes as base64`,
    'createOrUpdateCustomer', { ...person, documents: { front: photo, back: photo } }, { type: 'createCustomer' },
  );
  if (!isDeepStrictEqual(created.target, person)) fail('created', 'the attributes are not those that were sent');
  await images('both photos read back', photo, photo);
  await step(
    'updated with another image',
    'createOrUpdateCustomer', { ...person, documents: { front: photo, back: scan } }, { type: 'updateCustomer' },
  );
  await images('photo and scan read back', photo, scan);
  const updated = await step('status set', 'updateStatus', { email, status: 'PASS' });
  if (updated.target.status !== 'PASS') fail('status set', 'target.status is not PASS');
  await step('status read back', 'getStatus', { email }, { status: 'PASS' });

  let name = "an unknown e-mail is DCAMS's own error";
  let answer = await post({ service: 'getStatus', target: { email: `nobody-${email}` } });
  const wanted = { result: 'Error', message: 'The email address was not found' };
  if (![200, 404].includes(answer.status) || !isDeepStrictEqual(answer.body, wanted)) {
    fail(name, `${answer.status} ${JSON.stringify(answer.body)}`);
  }
  console.log(`ok ${client}: ${name}`);

  name = 'a wrong date of birth is refused with 422';
  answer = await post({ service: 'createOrUpdateCustomer', target: { email, dob: 'yesterday' } });
  const { result, code, message } = answer.body;
  if (answer.status !== 422 || !answer.mediaType.startsWith('application/problem+json')) {
    fail(name, `${answer.status} ${answer.mediaType}`);
  }
  if (result !== 'Error' || code !== 'schema_violation' || !message) fail(name, JSON.stringify(answer.body));
  console.log(`ok ${client}: ${name}`);

  if (connections() < 1 || connections() > most) fail('keep-alive', `${connections()} connections`);
  console.log(`ok ${client}: over ${connections()} connection(s)`);
}
