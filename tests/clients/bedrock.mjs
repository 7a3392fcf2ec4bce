// Calls Bedrock with AWS's JavaScript SDK, as agents do: its defaults, an endpoint, a bearer token.
// Usage: node bedrock.mjs SDK_FOLDER URL TOKEN MODEL. Prints what it got as JSON.
import { createRequire } from "node:module";

const [folder, endpoint, token, modelId] = process.argv.slice(2);
const { BedrockRuntimeClient, ConverseCommand, ConverseStreamCommand } = createRequire(`${folder}/`)(folder);

const client = new BedrockRuntimeClient({
  region: "us-east-1",
  endpoint,
  token: { token },
  authSchemePreference: ["httpBearerAuth"],
  maxAttempts: 1,
});
const messages = [{ role: "user", content: [{ text: "Hello" }] }];

const whole = await client.send(new ConverseCommand({ modelId, messages }));
const streamed = await client.send(new ConverseStreamCommand({ modelId, messages }));
const events = [];
for await (const event of streamed.stream) events.push(event);
client.destroy();
console.log(JSON.stringify({ whole: whole.output.message, stopReason: whole.stopReason, usage: whole.usage, events }));
