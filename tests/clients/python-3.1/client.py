"""Intercom's official Python client of API 1.x, unchanged, with a running simulator.

`tests/clients/run` starts the simulator and this script. The results are compared with the
simulator's state, which must have users and no faults.
"""

import sys
import time

import requests
from intercom.client import Client
from intercom.errors import ResourceNotFound

UNKNOWN_ID = "5714dd359a3fd47136000001"
TASK_ENDS_WITHIN_S = 30


def scroll_everybody(client, world):
    """The scroll returns every user once, and the workspace's only scroll is free again at its
    end."""
    users = {user.id: user for user in client.users.scroll()}
    state = requests.get(world + "/_simulator/state", timeout=10).json()
    assert len(users) == state["users_total"] > 0, (len(users), state["users_total"])
    assert len(list(client.users.scroll())) == len(users), "a second scroll can follow at once"
    return users


def job_that_ended(client, job_id):
    """Polls the job until its task ends: the job itself takes hours."""
    deadline = time.monotonic() + TASK_ENDS_WITHIN_S
    while True:
        job = client.jobs.find(id=job_id)
        state = job.tasks[0]["state"]
        if state.startswith("completed"):
            return job, state
        assert state in ("pending", "running"), state
        assert time.monotonic() < deadline, "the task did not end: " + state
        time.sleep(0.2)


def submit_one_good_and_one_bad(client, user):
    """A job of two items ends with one error in the feed, and one changed user."""
    patches = [
        {"id": user.id, "custom_attributes": {"has avatar": False}},
        {"id": UNKNOWN_ID, "custom_attributes": {"has avatar": True}},
    ]
    made = client.users.submit_bulk_job(create_items=patches)
    assert made.id.startswith("job_v2_"), made.id
    job, state = job_that_ended(client, made.id)
    assert state == "completed_with_errors", state
    assert job.tasks[0]["item_count"] == 2
    assert (job.closing_at - job.created_at).total_seconds() == 900

    feed = client.jobs.errors(id=made.id)
    failed = [(item["data"]["id"], item["error"]["code"]) for item in feed.items]
    assert failed == [(UNKNOWN_ID, "not_found")], failed
    assert client.users.find(id=user.id).custom_attributes["has avatar"] is False
    return made.id


def errors_have_their_classes(client):
    """The client parses the error bodies: an unknown user raises ResourceNotFound."""
    try:
        client.users.find(id=UNKNOWN_ID)
    except ResourceNotFound as error:
        assert error.context["http_code"] == 404, error.context
    else:
        raise AssertionError("an unknown user was found")


def main():
    world = sys.argv[1].rstrip("/")
    client = Client(personal_access_token="any")
    client.base_url = world
    users = scroll_everybody(client, world)
    job_id = submit_one_good_and_one_bad(client, next(iter(users.values())))
    errors_have_their_classes(client)
    assert client.rate_limit_details["limit"] > 0
    print("%d users scrolled, %s ended with the one error that was made" % (len(users), job_id))


if __name__ == "__main__":
    main()
