// Node as a client of HTTP/2 that asks again and again, until its standard input ends. Its arguments
// are an address, a file with the certificate of a CA, and how many requests are in flight. When a
// server says that it takes no further requests on a connection (GOAWAY), the client makes another
// one, and sends again what the server says that it has not processed (RFC 9113, section 8.7). It
// prints {answers, again, lost, connections}, where `lost` are the errors of all other requests.
"use strict";

const http2 = require("node:http2");
const { readFileSync } = require("node:fs");

const [address, ca, count] = process.argv.slice(2);
const told = { answers: 0, again: 0, lost: [], connections: 0 };
let session = null;
let ends = false;

function connected() {
    if (session === null || session.closed || session.destroyed) {
        session = http2.connect(address, { ca: readFileSync(ca) });
        session.on("error", () => {}); // each of its requests has an error of its own
        told.connections += 1;
    }
    return session;
}

function ask(path) {
    return new Promise(resolve => {
        const on = connected();
        let stream;
        try {
            stream = on.request({ ":path": path });
        } catch (error) {
            told.again += 1; // the connection was closed meanwhile, and nothing was sent
            session = null;
            setImmediate(resolve);
            return;
        }
        let status = null;
        let failed = null;
        stream.on("response", headers => { status = headers[":status"]; });
        stream.on("error", error => { failed = error; });
        stream.on("close", () => {
            if (status === 200 && failed === null) {
                told.answers += 1;
            } else if (status === null && isUnprocessed(stream, failed)) {
                told.again += 1;
            } else {
                told.lost.push(`${status}: ${failed}`);
            }
            resolve();
        });
        stream.resume();
        stream.end();
    });
}

function isUnprocessed(stream, failed) {
    return stream.rstCode === http2.constants.NGHTTP2_REFUSED_STREAM
        || (failed !== null && failed.code === "ERR_HTTP2_GOAWAY_SESSION");
}

async function go_on(number) {
    while (!ends && told.lost.length < 1000) {
        await ask(number % 5 === 0 ? "/slow" : "/");
    }
}

process.stdin.on("end", () => { ends = true; });
process.stdin.resume();

Promise.all(Array.from({ length: Number(count) }, (_, number) => go_on(number))).then(() => {
    console.log(JSON.stringify(told));
    process.exit(0);
});
