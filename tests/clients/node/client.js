// Intercom's official Node client of API 2.x, unchanged, with a running simulator.
//
// `tests/clients/run` starts the simulator and this script. The client sends version 2.14 by itself.
// The results are compared with the simulator's state.

import assert from "node:assert/strict";
import { IntercomClient, IntercomError } from "intercom-client";

// The simulator's options in tests/clients/run.
const LEADS = 40;
const ATTRIBUTE = "visits";
const LIMITED_WRITE = 6;

const VERSION = "2.14";
const UNKNOWN_ID = "5714dd359a3fd47136000001";
const PAGE = 50;

const address = process.argv[2].replace(/\/$/, "");
const client = new IntercomClient({ token: "any", baseUrl: address });

/** Returns the simulator's own view of the workspace. */
async function simulator(path) {
  return (await fetch(`${address}/_simulator/${path}`)).json();
}

/** Returns the status, code and message of the error that the client throws. */
async function refused(call) {
  try {
    await call();
  } catch (error) {
    assert.ok(error instanceof IntercomError, error);
    const { code, message } = error.body.errors[0];
    return [error.statusCode, code, message];
  }
  assert.fail("the request was not refused");
}

async function gather(pages) {
  const all = [];
  for await (const contact of pages) all.push(contact);
  return all;
}

const ids = (contacts) => contacts.map((contact) => contact.id).sort();

/** The pager returns every contact once. */
async function listAll() {
  const contacts = await gather(await client.contacts.list({ per_page: PAGE }));
  const users = contacts.filter((contact) => contact.role === "user");
  assert.equal(new Set(ids(contacts)).size, contacts.length);
  assert.deepEqual(ids(users), ids(await simulator("users")));
  assert.equal(contacts.length, users.length + LEADS);
  const state = (await simulator("state")).contacts;
  assert.deepEqual([state.listed, state.listed_distinct], [contacts.length, contacts.length]);
  assert.equal(state.lists, Math.ceil(contacts.length / PAGE));
  return contacts;
}

/** The pager of a search, which puts the cursor into the body, returns every lead once. */
async function search(contacts) {
  const leads = { query: { field: "role", operator: "=", value: "lead" }, pagination: { per_page: 15 } };
  const found = await gather(await client.contacts.search(leads));
  assert.deepEqual(ids(found), ids(contacts.filter((contact) => contact.role === "lead")));

  const someone = contacts.find((contact) => contact.email);
  const byEmail = { query: { field: "email", operator: "=", value: someone.email } };
  assert.ok(ids(await gather(await client.contacts.search(byEmail))).includes(someone.id), someone.email);
}

/** One contact by id is as in the list, and the version that the client sent serves it. */
async function find(contact) {
  const { data, rawResponse } = await client.contacts.find({ contact_id: contact.id }).withRawResponse();
  assert.deepEqual([data.id, data.email], [contact.id, contact.email]);
  assert.equal(rawResponse.headers.get("intercom-version"), VERSION);
  const unknown = await refused(() => client.contacts.find({ contact_id: UNKNOWN_ID }));
  assert.deepEqual(unknown, [404, "not_found", "User Not Found"]);
}

/** Writes attributes of a contact; the client does not retry. */
function write(id, attributes, options = { maxRetries: 0 }) {
  return client.contacts.update({ contact_id: id, custom_attributes: attributes }, options);
}

async function stored(id) {
  return (await simulator("users")).find((user) => user.id === id).custom_attributes[ATTRIBUTE];
}

/** Each value is stored as it was sent, and the answer shows it. */
async function update(id) {
  for (const value of [7, 0, null]) {
    const written = await write(id, { [ATTRIBUTE]: value });
    assert.equal(written.custom_attributes[ATTRIBUTE], value);
    assert.equal(await stored(id), value);
  }
}

/** The client throws each refusal with Intercom's code, and nothing is written. */
async function refusals(id) {
  const before = await simulator("users");
  const unknown = await refused(() => write(UNKNOWN_ID, { [ATTRIBUTE]: 1 }));
  assert.deepEqual(unknown, [404, "not_found", "User Not Found"]);
  const attribute = await refused(() => write(id, { "no such": 1 }));
  assert.deepEqual(attribute, [400, "parameter_invalid", "Custom attribute 'no such' does not exist"]);
  const limited = await refused(() => write(id, { [ATTRIBUTE]: 1 }));
  assert.deepEqual(limited, [429, "rate_limit_exceeded", "Exceeded rate limit of 1667 in 10_seconds"]);
  assert.deepEqual(await simulator("users"), before);
}

/** By default the client sends a write again after a 429. */
async function retry(id) {
  await write(id, { [ATTRIBUTE]: 8 }, {});
  assert.equal(await stored(id), 8);
}

const contacts = await listAll();
await search(contacts);
await find(contacts.at(-1));
const user = contacts.find((contact) => contact.role === "user");
await update(user.id);
await refusals(user.id);
await retry(user.id);
const state = await simulator("state");
// The second 429, and the write that follows it.
assert.equal(state.requests["PUT /contacts/{id}"], LIMITED_WRITE + 2);
assert.deepEqual([state.contacts.written, state.contacts.refused, state.given_429], [4, 2, 2]);
console.log(`intercom-client 7.0.3: ${contacts.length} contacts listed, 4 writes, 3 refusals`);
