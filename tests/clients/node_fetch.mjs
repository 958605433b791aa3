// Does Node's own fetch work through the gateway?

import { subscribe } from 'node:diagnostics_channel';

import { key, url, walk } from './steps.mjs';

let opened = 0;
subscribe('undici:client:connected', () => {
  opened += 1;
});

const post = async (body) => {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, mediaType: response.headers.get('content-type') ?? '', body: await response.json() };
};

// Its pool opens a second connection where an answer's end and the next request meet; it never needs a third.
await walk('node-fetch', post, () => opened, 2);
