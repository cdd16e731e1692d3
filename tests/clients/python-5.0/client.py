"""Intercom's official Python client of API 2.x, unchanged, with a running simulator.

`tests/clients/run` starts the simulator and this script. The client sends no version, so the
workspace's own must be one of 2.x. The results are compared with the simulator's state.
"""

import sys

import httpx
from intercom import Intercom
from intercom.core.api_error import ApiError
from intercom.types import SingleFilterSearchRequest, StartingAfterPaging

# The simulator's options in tests/clients/run.
VERSION = "2.14"
LEADS = 40
ATTRIBUTE = "visits"
LIMITED_WRITE = 6

UNKNOWN_ID = "5714dd359a3fd47136000001"
PAGE = 50


class Simulator:
    """The simulator's own view of the workspace."""

    def __init__(self, address):
        self.address = address

    def get(self, path):
        return httpx.get(self.address + "/_simulator/" + path, timeout=10).json()

    def attribute(self, user_id, name):
        users = {user["id"]: user for user in self.get("users")}
        return users[user_id]["custom_attributes"].get(name, "absent")


def refused(call):
    """Returns the status, code and message of the error that the client raises."""
    try:
        call()
    except ApiError as error:
        first = error.body["errors"][0]
        return error.status_code, first["code"], first["message"]
    raise AssertionError("the request was not refused")


def list_all(client, world):
    """The pager returns every contact once."""
    contacts = list(client.contacts.list(per_page=PAGE))
    users = [contact.id for contact in contacts if contact.role == "user"]
    assert len({contact.id for contact in contacts}) == len(contacts)
    assert sorted(users) == sorted(user["id"] for user in world.get("users"))
    state = world.get("state")["contacts"]
    assert len(contacts) == len(users) + LEADS == state["listed"] == state["listed_distinct"], state
    assert state["lists"] == -(-len(contacts) // PAGE), state
    return contacts


def search(client, contacts):
    """A search by pages returns every lead once.

    The cursor is given by hand: the pager of this version's searches leaves it out, so it returns
    the first page again and again.
    """
    query = SingleFilterSearchRequest(field="role", operator="=", value="lead")
    first = client.contacts.search(query=query, pagination=StartingAfterPaging(per_page=15))
    assert first.next_page().items == first.items, "its pager works: use it here"

    found, after = [], None
    while True:
        page = client.contacts.search(query=query, pagination=StartingAfterPaging(per_page=15, starting_after=after))
        found += [contact.id for contact in page.items]
        if not page.has_next:
            break
        after = page.response.pages.next.starting_after
    assert sorted(found) == sorted(contact.id for contact in contacts if contact.role == "lead")

    someone = next(contact for contact in contacts if contact.email)
    query = SingleFilterSearchRequest(field="email", operator="=", value=someone.email)
    by_email = client.contacts.search(query=query)
    assert someone.id in [contact.id for contact in by_email.items], someone.email
    assert by_email.response.total_count == len(by_email.items)


def find(client, contact):
    """One contact by id is as in the list, and the workspace's version serves it."""
    answer = client.contacts.with_raw_response.find(contact.id)
    assert (answer.data.id, answer.data.email) == (contact.id, contact.email)
    assert answer.headers["intercom-version"] == VERSION, answer.headers
    assert refused(lambda: client.contacts.find(UNKNOWN_ID)) == (404, "not_found", "User Not Found")


def update(client, world, user_id):
    """Each value is stored as it was sent, and the answer shows it."""
    for value in (7, 0, None):
        written = client.contacts.update(user_id, custom_attributes={ATTRIBUTE: value})
        assert written.custom_attributes[ATTRIBUTE] == value, written.custom_attributes
        assert world.attribute(user_id, ATTRIBUTE) == value


def refusals(client, world, user_id):
    """The client raises each refusal with Intercom's code, and nothing is written."""
    before = world.get("users")
    write = client.contacts.update
    unknown = refused(lambda: write(UNKNOWN_ID, custom_attributes={ATTRIBUTE: 1}))
    assert unknown == (404, "not_found", "User Not Found"), unknown
    attribute = refused(lambda: write(user_id, name="New", custom_attributes={"no such": 1}))
    assert attribute == (400, "parameter_invalid", "Custom attribute 'no such' does not exist"), attribute
    # By default this client does not retry.
    limited = refused(lambda: write(user_id, custom_attributes={ATTRIBUTE: 1}))
    assert limited == (429, "rate_limit_exceeded", "Exceeded rate limit of 1667 in 10_seconds"), limited
    assert world.get("users") == before

    # An app without a version of its own has 1.0, which has no contacts.
    old = {"additional_headers": {"Intercom-Version": "1.0"}}
    code = refused(lambda: client.contacts.find(user_id, request_options=old))[:2]
    assert code == (400, "intercom_version_invalid"), code


def main():
    address = sys.argv[1].rstrip("/")
    world, client = Simulator(address), Intercom(token="any", base_url=address)
    contacts = list_all(client, world)
    search(client, contacts)
    find(client, contacts[-1])
    user_id = next(contact.id for contact in contacts if contact.role == "user")
    update(client, world, user_id)
    refusals(client, world, user_id)
    state = world.get("state")
    assert state["requests"]["PUT /contacts/{id}"] == LIMITED_WRITE, state["requests"]
    assert (state["contacts"]["written"], state["contacts"]["refused"], state["given_429"]) == (3, 2, 1), state
    print("python-intercom 5.0.1: %d contacts listed, 3 writes, 3 refusals" % len(contacts))


if __name__ == "__main__":
    main()
