"""The usual update loop with Intercom's Python client, for tests/clients/compare.py.

`python loop.py ADDRESS IN_FLIGHT stop|skip` lists all contacts, compares each with the rule of
plans/has-avatar.toml, and updates those that differ. An error ends the loop, or is printed. With
one request in flight it is the synchronous client, otherwise the asynchronous one.
"""

import asyncio
import sys

from intercom import AsyncIntercom, Intercom

ATTRIBUTE = "has avatar"
PAGE = 150


def has_avatar(contact):
    url = (contact.avatar or {}).get("image_url") or ""
    return bool(url.strip()) and "gravatar.com" not in url.lower()


def differs(contact):
    return contact.role == "user" and contact.custom_attributes.get(ATTRIBUTE) is not has_avatar(contact)


def one_by_one(address, on_error):
    client = Intercom(token="any", base_url=address)
    for contact in client.contacts.list(per_page=PAGE):
        if differs(contact):
            try:
                client.contacts.update(contact.id, custom_attributes={ATTRIBUTE: has_avatar(contact)})
            except Exception as error:
                if on_error == "stop":
                    raise
                print(contact.id, repr(error)[:100], file=sys.stderr)


async def in_parallel(address, in_flight, on_error):
    client = AsyncIntercom(token="any", base_url=address)

    async def update(contact):
        try:
            await client.contacts.update(contact.id, custom_attributes={ATTRIBUTE: has_avatar(contact)})
        except Exception as error:
            if on_error == "stop":
                raise
            print(contact.id, repr(error)[:100], file=sys.stderr)

    pending = set()
    async for contact in await client.contacts.list(per_page=PAGE):
        if differs(contact):
            pending.add(asyncio.create_task(update(contact)))
        if len(pending) >= in_flight:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
    await asyncio.gather(*pending)


def main():
    address, in_flight, on_error = sys.argv[1:]
    if in_flight == "1":
        one_by_one(address, on_error)
    else:
        asyncio.run(in_parallel(address, int(in_flight), on_error))


if __name__ == "__main__":
    main()
