// The usual update loop with Intercom's Node client, for tests/clients/compare.py:
// `node loop.js ADDRESS IN_FLIGHT stop|skip` lists all contacts, compares each with the rule of
// plans/has-avatar.toml, and updates those that differ. An error ends the loop, or is printed.

import { IntercomClient } from "intercom-client";

const [address, inFlight, onError] = process.argv.slice(2);
const client = new IntercomClient({ token: "any", baseUrl: address });
const ATTRIBUTE = "has avatar";
const PAGE = 150;

function hasAvatar(contact) {
  const url = contact.avatar?.image_url ?? "";
  return url.trim() !== "" && !url.toLowerCase().includes("gravatar.com");
}

async function update(contact) {
  try {
    await client.contacts.update({
      contact_id: contact.id,
      custom_attributes: { [ATTRIBUTE]: hasAvatar(contact) },
    });
  } catch (error) {
    if (onError === "stop") throw error;
    console.error(contact.id, String(error.message).split("\n")[0]);
  }
}

const pending = new Set();
for await (const contact of await client.contacts.list({ per_page: PAGE })) {
  if (contact.role !== "user" || contact.custom_attributes[ATTRIBUTE] === hasAvatar(contact)) continue;
  const request = update(contact);
  pending.add(request);
  // A request that failed stays, so that the next race throws its error.
  request.then(() => pending.delete(request), () => {});
  if (pending.size >= Number(inFlight)) await Promise.race(pending);
}
await Promise.all(pending);
