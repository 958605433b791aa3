"""What do the Python clients send, and what must come back?"""

import base64
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PATH = "/v3/stable/api/storage"


@dataclass
class Answer:
    status: int
    media_type: str
    body: dict


def needed(name):
    value = os.environ.get(name)
    if not value:
        sys.exit(f"{name} is not set")
    return value


def url():
    return needed("DCAMS_URL").rstrip("/")


def key():
    return needed("DCAMS_KEY")


def image(name):
    return base64.b64encode((Path(needed("DCAMS_IMAGES")) / name).read_bytes()).decode()


def fail(client, step, why):
    sys.exit(f"FAILED {client}: {step}: {why}")


def walk(client, post, connections):
    """Takes all steps with `post`, which sends one body; `connections` tells how many were opened."""
    email = f"{client}-{time.time_ns()}@example.com"
    photo, scan = image("phone-photo.jpg"), image("scan.png")

    def step(name, service, target, **wanted):
        body = {"service": service, "target": target}
        if service == "createOrUpdateCustomer":
            body["reference"] = "888888812"
        answer = post(body)
        if answer.status != 200 or answer.body.get("result") != "Success":
            fail(client, name, f"{answer.status} {str(answer.body)[:300]}")
        for member, value in wanted.items():
            if answer.body.get(member) != value:
                fail(client, name, f"{member} is not {value!r}")
        print(f"ok {client}: {name}", flush=True)
        return answer.body

    def images(name, front, back):
        body = step(name, "getDocumentImages", {"email": email})
        if body["target"]["documents"] != {"front": front, "back": back}:
            fail(client, name, "the images are not those that were sent")

    person = {"email": email, "fn": "Zoë", "ln": "O'Neil", "addr": "123 Main St", "city": "Stratford"}
    person |= {"state": "CT", "zip": "06614", "dob": "19700101", "phone": "2015106000"}
    pair = person | {"documents": {"front": photo, "back": photo}}
    created = step(
        f"created with two photos of {len(photo)} bytes as base64", "createOrUpdateCustomer", pair, type="createCustomer"
    )
    if created["target"] != person:
        fail(client, "created", "the attributes are not those that were sent")
    images("both photos read back", photo, photo)
    pair = person | {"documents": {"front": photo, "back": scan}}
    step("updated with another image", "createOrUpdateCustomer", pair, type="updateCustomer")
    images("photo and scan read back", photo, scan)
    updated = step("status set", "updateStatus", {"email": email, "status": "PASS"})
    if updated["target"].get("status") != "PASS":
        fail(client, "status set", "target.status is not PASS")
    step("status read back", "getStatus", {"email": email}, status="PASS")

    name = "an unknown e-mail is DCAMS's own error"
    answer = post({"service": "getStatus", "target": {"email": f"nobody-{email}"}})
    wanted = {"result": "Error", "message": "The email address was not found"}
    if answer.status not in (200, 404) or answer.body != wanted:
        fail(client, name, f"{answer.status} {answer.body}")
    print(f"ok {client}: {name}", flush=True)

    name = "a wrong date of birth is refused with 422"
    answer = post({"service": "createOrUpdateCustomer", "target": {"email": email, "dob": "yesterday"}})
    if answer.status != 422 or not answer.media_type.startswith("application/problem+json"):
        fail(client, name, f"{answer.status} {answer.media_type}")
    if answer.body.get("result") != "Error" or answer.body.get("code") != "schema_violation":
        fail(client, name, f"{answer.body}")
    if not answer.body.get("message"):
        fail(client, name, "no message")
    print(f"ok {client}: {name}", flush=True)

    if connections() != 1:
        fail(client, "keep-alive", f"{connections()} connections")
    print(f"ok {client}: over one connection", flush=True)
