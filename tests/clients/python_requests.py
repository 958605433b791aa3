"""Does Python's requests work through the gateway?"""

import requests

from steps import Answer, PATH, key, url, walk

session = requests.Session()
session.headers["Authorization"] = f"Bearer {key()}"


def post(body):
    response = session.post(url() + PATH, json=body, timeout=60)
    return Answer(response.status_code, response.headers.get("Content-Type", ""), response.json())


def connections():
    pools = session.get_adapter(url()).poolmanager.pools
    return sum(pools[key].num_connections for key in pools.keys())


walk("python-requests", post, connections)
