// Node as a client of HTTP/2. It reads from standard input, as JSON, {address, ca, requests}, where
// each request is {headers, body: how many bytes there are, or null}. It sends them at once, on one
// connection, and prints {protocol, settings, answers}, where each answer is {status, headers, size,
// sha256, error}.
"use strict";

const { createHash } = require("node:crypto");
const http2 = require("node:http2");
const { readFileSync } = require("node:fs");

const { address, ca, requests } = JSON.parse(readFileSync(0, "utf-8"));
const session = http2.connect(address, { ca: readFileSync(ca) });

function ask({ headers, body }) {
    return new Promise(resolve => {
        const answer = { status: null, headers: {}, size: 0, sha256: null, error: null };
        const digest = createHash("sha256");
        const stream = session.request(headers, { endStream: body === null });
        stream.on("response", received => {
            answer.status = received[":status"];
            answer.headers = { ...received };
        });
        stream.on("data", part => {
            answer.size += part.length;
            digest.update(part);
        });
        stream.on("error", error => { answer.error = error.message; });
        stream.on("close", () => {
            answer.sha256 = digest.digest("hex");
            resolve(answer);
        });
        if (body !== null) {
            stream.end(Buffer.alloc(body, "x"));
        }
    });
}

async function main() {
    await new Promise((resolve, reject) => {
        session.on("error", reject);
        session.on("remoteSettings", resolve);
    });
    const answers = await Promise.all(requests.map(ask));
    const { alpnProtocol: protocol, remoteSettings: settings } = session;
    await new Promise(resolve => { session.close(resolve); });
    console.log(JSON.stringify({ protocol, settings, answers }));
}

main().catch(error => {
    console.error(error);
    process.exit(1);
});
