"""Run inside Home Assistant's container: makes the first user as its page does, then waits for a state.

    python3 - PART-OF-THE-ENTITY STATE SECONDS        prints the entity and its state
"""

import json
import sys
import time
import urllib.parse
import urllib.request

BASE = "http://127.0.0.1:8123"


def ask(path, body=None, form=None, token=None):
    headers, data = {}, None
    if form is not None:
        data = urllib.parse.urlencode(form).encode()
    elif body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    if token:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(BASE + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


client = BASE + "/"
user = {"client_id": client, "name": "a", "username": "a", "password": "not-a-secret", "language": "en"}
code = ask("/api/onboarding/users", body=user)["auth_code"]
login = {"grant_type": "authorization_code", "code": code, "client_id": client}
token = ask("/auth/token", form=login)["access_token"]

part, wanted, end = sys.argv[1], sys.argv[2], time.monotonic() + float(sys.argv[3])
while True:
    states = {state["entity_id"]: state["state"] for state in ask("/api/states", token=token)}
    found = [f"{entity} {state}" for entity, state in states.items() if part in entity and state == wanted]
    if found:
        print(*found)
        break
    if time.monotonic() > end:
        sys.exit(f"no {part} is {wanted}: {sorted(states.items())}")
    time.sleep(0.5)
