"""Does the manifest keep the promises that Kubernetes' schemas cannot express?

    verify.py sidecar.yaml gateway.toml

The second argument is written: the gateway's configuration as the ConfigMap holds it.
"""

import re
import sys

import yaml

SECRET = "dcams-gateway-secrets"


def expect(holds, promise):
    if not holds:
        sys.exit(f"sidecar.yaml: not so: {promise}")


def containers_of(pod):
    return pod["initContainers"] + pod["containers"]


def mounted(container):
    return {mount["name"]: mount for mount in container.get("volumeMounts", [])}


def seconds(text):
    return int(re.fullmatch(r"(\d+)s", text).group(1))


def verify(objects):
    stateful_set = objects["StatefulSet"]["spec"]
    pod = stateful_set["template"]["spec"]
    gateway = next(c for c in pod["initContainers"] if c["name"] == "dcams-gateway")
    toml = objects["ConfigMap"]["data"]["gateway.toml"]

    expect(gateway.get("restartPolicy") == "Always", "the gateway is a native sidecar")
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        path = "/livez" if probe == "livenessProbe" else "/readyz"
        expect(gateway[probe]["httpGet"]["path"] == path, f"{probe} asks {path}")

    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    secret_volumes = {n for n, v in volumes.items() if v.get("secret", {}).get("secretName") == SECRET}
    expect(len(secret_volumes) == 1, "the credentials are one volume")
    for name in secret_volumes:
        expect(volumes[name]["secret"]["defaultMode"] & 0o007 == 0, "the credentials are not world-readable")
    for container in containers_of(pod):
        is_gateway = container is gateway
        mounts = mounted(container)
        expect(bool(secret_volumes & mounts.keys()) == is_gateway, "only the gateway mounts the credentials")
        expect(("gateway-audit" in mounts) == is_gateway, "only the gateway mounts the audit volume")
        expect(SECRET not in str(container.get("env", [])) + str(container.get("envFrom", [])),
               "no container has the credentials in its environment")
        expect(not any("subPath" in mount for mount in mounts.values()), "no mount is a subPath")
        context = container["securityContext"]
        expect(context["runAsNonRoot"] and context["runAsUser"] > 0, "no container runs as root")
        expect(context["readOnlyRootFilesystem"], "every root file system is read-only")
        expect(context["allowPrivilegeEscalation"] is False, "no container escalates privileges")
        expect(context["capabilities"]["drop"] == ["ALL"], "every capability is dropped")
        expect(context["seccompProfile"]["type"] == "RuntimeDefault", "the runtime's seccomp profile is on")
    users = [c["securityContext"]["runAsUser"] for c in containers_of(pod)]
    expect(len(users) == len(set(users)), "each container runs as a user of its own")

    templates = [t["metadata"]["name"] for t in stateful_set["volumeClaimTemplates"]]
    expect(templates == ["gateway-audit"], "the audit volume is a persistent claim")
    for name, mount in mounted(gateway).items():
        expect(name in volumes or name in templates, f"the volume {name} is defined")
        expect(name == "gateway-audit" or mount.get("readOnly"), f"{name} is mounted read-only")

    drain = seconds(re.search(r'^drain_timeout = "(.+)"$', toml, re.M).group(1))
    grace = pod["terminationGracePeriodSeconds"]
    expect(grace > 2 * drain, "the grace period covers the application's end and the gateway's drain")
    # The kubelet counts a preStop hook into the same time, and a sidecar's port needs none: its caller ends first.
    expect("lifecycle" not in gateway, "nothing delays the gateway's SIGTERM")

    paths = set(re.findall(r'file = "([^"]+)"', toml))
    folders = {mount["mountPath"] for mount in mounted(gateway).values()}
    expect(paths and all(p.rsplit("/", 1)[0] in folders for p in paths), "every file named lies in a mount")
    audit = re.search(r'^output = \{ folder = "([^"]+)" \}$', toml, re.M).group(1)
    expect(audit.rsplit("/", 1)[0] == mounted(gateway)["gateway-audit"]["mountPath"],
           "the audit folder lies in its volume")
    return toml


def main(manifest, toml_path):
    with open(manifest, encoding="utf-8") as file:
        objects = {document["kind"]: document for document in yaml.safe_load_all(file) if document}
    toml = verify(objects)
    with open(toml_path, "w", encoding="utf-8") as file:
        file.write(toml)


main(*sys.argv[1:])
