// Drives an HTTP/2 server with Node's own client. Usage: node http2.mjs URL. Prints what it saw as JSON.
import http2 from "node:http2";

const url = process.argv[2];

function connect() {
  const session = http2.connect(url);
  session.on("error", (error) => { throw error; });
  return session;
}

function post(session, path, body) {
  return new Promise((resolve, reject) => {
    const request = session.request({ ":method": "POST", ":path": path, "content-type": "text/plain" });
    const pieces = [];
    let status;
    request.on("response", (headers) => { status = headers[":status"]; });
    request.on("data", (piece) => pieces.push(piece));
    request.on("end", () => resolve({ status, body: Buffer.concat(pieces) }));
    request.on("error", reject);
    request.end(body);
  });
}

const session = connect();

const many = await Promise.all([...Array(150).keys()].map((number) => post(session, "/echo", `body ${number}`)));
const large = Buffer.alloc(8 * 1024 * 1024, "0123456789abcdef");
const echoed = await post(session, "/echo", large);

const cancelled = session.request({ ":method": "POST", ":path": "/endless" });
cancelled.end();
await new Promise((resolve) => cancelled.once("data", resolve));
cancelled.close(http2.constants.NGHTTP2_CANCEL);
await new Promise((resolve) => cancelled.once("close", resolve));
const heard = await post(session, "/hung-up", "");

const leaving = connect();
const last = post(leaving, "/echo", large);
await new Promise((resolve) => leaving.once("remoteSettings", resolve));
leaving.close(); // says goodbye at once, and waits for what it has asked for
const farewell = await last;

const broken = await post(session, "/broken", "").catch((error) => error.code);

session.close();
console.log(JSON.stringify({
  many: many.every(({ status, body }, number) => status === 200 && body.toString() === `body ${number}`),
  large: echoed.body.equals(large),
  heard: heard.body.toString(),
  farewell: farewell.body.equals(large),
  broken,
  http1: await (await fetch(`${url}/version`)).text(),
}));
