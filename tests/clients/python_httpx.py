"""Does Python's httpx work through the gateway?"""

import httpx

from steps import Answer, PATH, key, url, walk

opened = []


def trace(event, _details):
    if event == "connection.connect_tcp.complete":
        opened.append(event)


client = httpx.Client(headers={"Authorization": f"Bearer {key()}"}, timeout=60)


def post(body):
    response = client.post(url() + PATH, json=body, extensions={"trace": trace})
    return Answer(response.status_code, response.headers.get("Content-Type", ""), response.json())


walk("python-httpx", post, lambda: len(opened))
