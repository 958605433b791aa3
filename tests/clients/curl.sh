#!/usr/bin/env bash
# Does curl work through the gateway? One curl process sends every body, so that it keeps its connection.
set -euo pipefail

client=curl
: "${DCAMS_URL:?}" "${DCAMS_KEY:?}" "${DCAMS_IMAGES:?}"
email="$client-$(date +%s%N)@example.com"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 077

fail() {
    echo "FAILED $client: $1" >&2
    exit 1
}

# Writes a request of service $2 to the file of step $1; $3 is the target, $4 and $5 are its images.
body() {
    {
        printf '{"service":"%s",' "$2"
        [ "$2" != createOrUpdateCustomer ] || printf '"reference":"888888812",'
        printf '"target":{%s' "$3"
        if [ -n "${4-}" ]; then
            printf ',"documents":{"front":"'
            base64 -w0 "$DCAMS_IMAGES/$4"
            printf '","back":"'
            base64 -w0 "$DCAMS_IMAGES/$5"
            printf '"}'
        fi
        printf '}}'
    } >"$folder/$1.body"
}

person='"email":"'$email'","fn":"Zoë","ln":"O'"'"'Neil","addr":"123 Main St","city":"Stratford","state":"CT",'
person+='"zip":"06614","dob":"19700101","phone":"2015106000"'
body created createOrUpdateCustomer "$person" phone-photo.jpg phone-photo.jpg
body photos getDocumentImages '"email":"'"$email"'"'
body updated createOrUpdateCustomer "$person" phone-photo.jpg scan.png
body scan getDocumentImages '"email":"'"$email"'"'
body set updateStatus '"email":"'"$email"'","status":"PASS"'
body status getStatus '"email":"'"$email"'"'
body unknown getStatus '"email":"nobody-'"$email"'"'
body refused createOrUpdateCustomer '"email":"'"$email"'","dob":"yesterday"'

# A file, because the key would be readable by everybody on the command line.
separator=
for step in created photos updated scan set status unknown refused; do
    printf '%s' "$separator"
    separator=$'next\n'
    cat <<END
url = "${DCAMS_URL%/}/v3/stable/api/storage"
header = "Authorization: Bearer $DCAMS_KEY"
header = "Content-Type: application/json"
data-binary = "@$folder/$step.body"
output = "$folder/$step.answer"
write-out = "$step %{http_code} %{num_connects} %{content_type}\n"
max-time = 60
silent
show-error
END
done >"$folder/requests"
curl --disable --config "$folder/requests" >"$folder/results" || fail "curl ended with $?"

python3 - "$folder" "$email" <<'END'
import base64, json, os, pathlib, sys

folder, email = pathlib.Path(sys.argv[1]), sys.argv[2]
results = {}
for line in (folder / "results").read_text().splitlines():
    step, status, connects, media_type = line.split(" ", 3)
    results[step] = (int(status), int(connects), media_type, json.loads((folder / f"{step}.answer").read_text()))


def check(step, wanted, says):
    if not wanted:
        status, _, media_type, body = results[step]
        sys.exit(f"FAILED curl: {says}: {status} {media_type} {str(body)[:300]}")
    print(f"ok curl: {says}")


def succeeds(step, says, **wanted):
    status, _, _, body = results[step]
    members = {"result": "Success", **wanted}
    check(step, status == 200 and all(body.get(name) == value for name, value in members.items()), says)
    return body


def image(name):
    return base64.b64encode((pathlib.Path(os.environ["DCAMS_IMAGES"]) / name).read_bytes()).decode()


photo, scan = image("phone-photo.jpg"), image("scan.png")
sent = json.loads((folder / "created.body").read_text())["target"]
del sent["documents"]
says = f"created with two photos of {len(photo)} bytes as base64"
check("created", succeeds("created", says, type="createCustomer")["target"] == sent, "with the attributes as sent")
body = succeeds("photos", "both photos read back")
check("photos", body["target"]["documents"] == {"front": photo, "back": photo}, "which are those that were sent")
succeeds("updated", "updated with another image", type="updateCustomer")
body = succeeds("scan", "photo and scan read back")
check("scan", body["target"]["documents"] == {"front": photo, "back": scan}, "which are those that were sent")
check("set", succeeds("set", "status set")["target"].get("status") == "PASS", "to PASS")
succeeds("status", "status read back", status="PASS")
status, _, _, body = results["unknown"]
wanted = {"result": "Error", "message": "The email address was not found"}
check("unknown", status in (200, 404) and body == wanted, "an unknown e-mail is DCAMS's own error")
status, _, media_type, body = results["refused"]
refused = status == 422 and media_type.startswith("application/problem+json") and body.get("message")
refused = refused and body.get("result") == "Error" and body.get("code") == "schema_violation"
check("refused", refused, "a wrong date of birth is refused with 422")
connects = sum(connects for _, connects, _, _ in results.values())
check("refused", connects == 1, f"over {connects} connection(s)")
END
