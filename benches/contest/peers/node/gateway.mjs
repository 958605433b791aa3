// What a team would write in Node: fastify, ajv and undici doing the work. A bearer key, a limit, schemas, injection,
// a keyed fingerprint and one line a request in a file (not synchronised). Repeated names and answers are not looked at.
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { createWriteStream, readFileSync } from "node:fs";
import Fastify from "fastify";
import rateLimit from "@fastify/rate-limit";
import Ajv from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { Pool } from "undici";

const http2 = @NODE_HTTP2@;
const key = Buffer.from("@BEARER_SHA256@", "hex");
const salt = "fingerprint-key-of-the-benchmark-0123456789abcdef";
const audit = createWriteStream("@FOLDER@/audit.jsonl");
const upstream = new Pool("@SCHEME@://localhost:@UPSTREAM_PORT@", {
    connections: 64,
    connect: { ca: readFileSync("@CERTIFICATES@/ca.pem") },
});

const ajv = new Ajv({ allErrors: false });
addFormats(ajv);
const email = { type: "string", format: "email", maxLength: 254 };
const name = { type: "string", maxLength: 100, pattern: "^\\p{L}[\\p{L}\\p{M}\\p{Nd} .,'’-]*$" };
const image = { type: "string", maxLength: 14000000, pattern: "^/9j/[A-Za-z0-9+/]+={0,2}$" };
const closed = (properties, required) => ({ type: "object", additionalProperties: false, properties, required });
const request = (service, target, others = {}) =>
    ajv.compile(closed({ service: { const: service }, target, ...others }, ["service", "target"]));
const services = {
    getStatus: request("getStatus", closed({ email }, ["email"])),
    getDocumentImages: request("getDocumentImages", closed({ email }, ["email"])),
    updateStatus: request(
        "updateStatus",
        closed({ email, status: { enum: ["PASS", "PENDING", "FAIL"] } }, ["email", "status"]),
    ),
    createOrUpdateCustomer: request(
        "createOrUpdateCustomer",
        closed(
            {
                email, fn: name, ln: name, city: name, state: name,
                addr: { type: "string", maxLength: 200, pattern: "^[\\p{L}\\p{Nd}][\\p{L}\\p{M}\\p{Nd} .,#/'’-]*$" },
                zip: { type: "string", pattern: "^[A-Za-z0-9 -]{3,10}$" },
                dob: { type: "string", pattern: "^(1[89]|2[0-9])[0-9]{6}$" },
                phone: { type: "string", maxLength: 32, pattern: "^\\+?[0-9 ().-]{7,32}$" },
                documents: closed({ front: image, back: image }, []),
            },
            ["email"],
        ),
        { reference: { type: "string", maxLength: 64, pattern: "^[A-Za-z0-9_.-]+$" } },
    ),
};

const app = Fastify({
    bodyLimit: 20 * 1024 * 1024,
    logger: false,
    ...(http2 && {
        http2: true,
        https: { cert: readFileSync("@CERTIFICATES@/cert.pem"), key: readFileSync("@CERTIFICATES@/key.pem") },
    }),
});
await app.register(rateLimit, {
    max: 1000000000,
    timeWindow: 1000,
    keyGenerator: (request) => request.headers.authorization ?? "",
});

app.addHook("onRequest", async (request, reply) => {
    const [scheme, token] = (request.headers.authorization ?? "").split(" ");
    const given = createHash("sha256").update(token ?? "").digest();
    if (scheme !== "Bearer" || !timingSafeEqual(given, key)) return reply.code(401).send({ status: 401 });
});

app.post("/v3/stable/api/storage", async (request, reply) => {
    const started = performance.now();
    const body = request.body;
    const valid = Object.hasOwn(services, body?.service) && services[body.service];
    if (!valid || !valid(body)) return reply.code(422).send({ status: 422 });
    const sealed = JSON.stringify({ user: "@USER@", pass: "@PASS@", ...body });
    const answer = await upstream.request({
        method: "POST",
        path: "/v3/stable/api/storage",
        headers: { "content-type": "application/json" },
        body: sealed,
    });
    const bytes = Buffer.from(await answer.body.arrayBuffer());
    const fingerprint = createHmac("sha256", salt).update(body.target.email.toLowerCase()).digest("hex");
    audit.write(
        JSON.stringify({
            time: new Date().toISOString(), id: request.id, caller: "kyc-api", service: body.service, email: fingerprint,
            status: answer.statusCode, bytes: bytes.length, ms: performance.now() - started,
        }) + "\n",
    );
    return reply.code(answer.statusCode).header("content-type", "application/json").send(bytes);
});

await app.listen({ host: "127.0.0.1", port: @PORT@ });
