// Does axios work through the gateway?

import http from 'node:http';
import https from 'node:https';

import axios from 'axios';

import { key, url, walk } from './steps.mjs';

let opened = 0;
const client = axios.create({
  headers: { authorization: `Bearer ${key}` },
  httpAgent: new http.Agent({ keepAlive: true }),
  httpsAgent: new https.Agent({ keepAlive: true }),
  maxBodyLength: Infinity,
  maxContentLength: Infinity,
  proxy: false,
  validateStatus: () => true,
});

const post = async (body) => {
  const response = await client.post(url, body);
  opened += response.request.reusedSocket ? 0 : 1;
  return { status: response.status, mediaType: response.headers['content-type'] ?? '', body: response.data };
};

await walk('node-axios', post, () => opened);
