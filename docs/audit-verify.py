#!/usr/bin/env python3
"""A second verifier of audit logs, written from docs/audit-chain.md alone and sharing no code with the gateway.

    audit-verify.py FOLDER --public-key public.pem… [--chain-key chain.key] [--checkpoint FILE]

It stops at the first thing that is wrong. Exit code 0: clean, 1: not clean, or nothing is proven. It needs Python 3.9 and, for Ed25519,
the package `cryptography` or the program `openssl` (3.0 or later).
"""

import argparse
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid

LINE = re.compile(rb'\{"seq":([1-9][0-9]*),"v":1,"kind":"([a-z_]+)".*,"mac":"([0-9a-f]{64})"\}\n', re.DOTALL)
SIGNED = re.compile(rb'(.*),"signature":"([0-9a-f]{128})"', re.DOTALL)
NAME = re.compile(r"audit-([0-9]{16})\.jsonl")


class Wrong(Exception):
    """The first thing that is wrong."""


def check(holds, message):
    if not holds:
        raise Wrong(message)


def distinct(pairs):
    names = [name for name, _ in pairs]
    check(len(names) == len(set(names)), "a member stands twice")
    return dict(pairs)


def no_constant(name):
    raise ValueError(name)


def parse(line):
    """A line as a dictionary; nothing but strict JSON."""
    try:
        return json.loads(line.decode("utf-8"), object_pairs_hook=distinct, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Wrong("not JSON") from None


class PublicKey:
    def __init__(self, path):
        self.path = path
        with open(path, encoding="ascii") as file:
            pem = file.read()
        import base64

        der = base64.b64decode("".join(pem.split("-----")[2].split()))
        check(len(der) == 44 and der[:12] == bytes.fromhex("302a300506032b6570032100"), "not an Ed25519 public key")
        self.raw = der[12:]
        self.id = hashlib.sha256(self.raw).digest()[:8].hex()

    def vouches_for(self, message, signature):
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        except ImportError:
            return self.openssl(message, signature)
        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except InvalidSignature:
            return False
        return True

    def openssl(self, message, signature):
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, name) for name in ("message", "signature")]
            for name, contents in zip(names, (message, signature)):
                with open(name, "wb") as file:
                    file.write(contents)
            command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", self.path, "-rawin"]
            command += ["-in", names[0], "-sigfile", names[1]]
            return subprocess.run(command, capture_output=True, check=False).returncode == 0


LABEL = b"dcams-gateway checkpoint v1\n"


def is_signed(keys, key_id, covered):
    """Whether the covered bytes of a checkpoint are signed by the one of `keys` that they name."""
    form = SIGNED.fullmatch(covered)
    check(form, "no signature")
    key = keys.get(key_id)
    check(key, f"a checkpoint of the key {key_id}, which was not given")
    return key.vouches_for(LABEL + form[1], bytes.fromhex(form[2].decode()))


def mac(key, *parts):
    return hmac.new(key, b"".join(parts), hashlib.sha256).digest()


class Verifier:
    def __init__(self, public_keys, chain_key, kept):
        self.keys = {key.id: key for key in public_keys}
        self.chain_key = chain_key
        self.kept = kept  # (chain, seq) to line
        self.last_kept = None  # the highest number of those of this chain
        self.seq = 0  # of the last line
        self.chain = self.epoch = self.key = self.previous_mac = None
        self.before = None  # the segment before: first, last and digest
        self.wanted = None  # what retention must have removed, until a record that says so is proven
        self.removed = None  # what it removed
        self.listed = False  # whether a record says so that no checkpoint covers yet
        self.proven = False  # whether any line is
        self.closed = set()  # requests with an outcome
        self.intended = set()

    def segment(self, name, contents, is_last):
        lines = contents.split(b"\n")
        torn = lines.pop()
        check(is_last or not torn, "a torn line inside the log")
        check(is_last or lines, "an empty segment inside the log")
        digest, offset = hashlib.sha256(), 0
        for number, line in enumerate(lines, 1):
            line += b"\n"
            try:
                self.line(line, name, number == 1, digest)
            except Wrong as wrong:
                raise Wrong(f"audit-{name:016}.jsonl, line {number}, byte {offset}: {wrong}") from None
            digest.update(line)
            offset += len(line)
        self.before = (name, self.seq, digest.hexdigest())

    def line(self, line, name, is_first, digest):
        form = LINE.fullmatch(line)
        check(form, "not a line of the log")
        record = parse(line)
        seq, kind, stated = int(form[1]), form[2].decode(), bytes.fromhex(form[3].decode())
        covered = line[: -len(b',"mac":"') - 64 - len(b'"}\n')]
        check(is_first == (kind == "segment"), "`segment` is the first line of a segment, and only there")
        if kind == "segment":
            check(seq == name, "the name of the segment has another number")
            self.header(record, seq)
        check(seq == self.seq + 1, f"seq {seq} instead of {self.seq + 1}")
        self.seq = seq
        has_right_mac = bool(self.key) and self.previous_mac is not None
        if has_right_mac:
            check(hmac.compare_digest(mac(self.key, self.previous_mac, covered), stated), "wrong MAC")
            self.proven = True
        self.previous_mac = stated
        check(self.kept.pop((self.chain, seq), line) == line, "another line than the checkpoint that was kept")
        if kind == "checkpoint":
            self.checkpoint(record, covered, name, digest)
        elif kind == "retention" and self.wanted and self.wanted in record["removed"]:
            self.listed = True
            if has_right_mac:
                self.retired()
        elif kind == "intent":
            check(record["id"] not in self.intended | self.closed, "a second intent")
            self.intended.add(record["id"])
        elif kind == "outcome" and "id" in record:
            check(record["id"] not in self.closed, "a second outcome")
            self.closed.add(record["id"])
        check(not (kind == "fault" and record["fault"] == "chain_broken"), "the gateway found the log changed")

    def header(self, record, seq):
        previous = record.get("previous")
        check((previous is None) == (seq == 1), "`previous` and the number do not fit")
        check(self.chain in (None, record["chain"]), "another chain")
        if self.chain is None:
            self.chain, self.epoch, self.seq = record["chain"], record["epoch"], seq - 1
            check(seq != 1 or self.epoch == 0, "the first epoch is 0")
            self.wanted = previous
            strange = [of for of in self.kept if of[0] != self.chain]
            check(not strange or len(strange) < len(self.kept), "all checkpoints that were kept are of other chains")
            for of in strange:
                del self.kept[of]
            self.last_kept = max((of[1] for of in self.kept), default=None)
            self.previous_mac = bytes(32) if seq == 1 else None
            if self.chain_key:
                self.key = mac(self.chain_key, b"dcams-gateway chain v1\n", uuid.UUID(self.chain).bytes)
                for _ in range(self.epoch):
                    self.key = mac(self.key, b"dcams-gateway ratchet v1\n")
        else:
            first, last, sha256 = self.before
            check(previous == {"first": first, "last": last, "sha256": sha256}, "the segment before is another")
        check(record["epoch"] == self.epoch, f"epoch {record['epoch']} instead of {self.epoch}")

    def checkpoint(self, record, covered, name, digest):
        facts = (record["chain"], record["epoch"], record["first"], record["sha256"])
        check(facts == (self.chain, self.epoch, name, digest.hexdigest()), "the checkpoint is of other bytes")
        check(is_signed(self.keys, record["key"], covered), "wrong signature")
        # It covers all lines before it: nothing was wrong so far, so each segment was written after the one before.
        self.proven = True
        if self.listed:
            self.retired()
        self.epoch += 1
        if self.key:
            self.key = mac(self.key, b"dcams-gateway ratchet v1\n")

    def retired(self):
        """A record of retention that explains the missing beginning is proven."""
        self.removed, self.wanted, self.listed = self.wanted, None, False

    def end(self):
        check(self.chain is not None, "no segment is there")
        check(not self.listed, "the beginning is missing, and nothing proves the record of retention that says so")
        check(self.wanted is None, "the beginning is missing, and no record of retention says so")
        # Retention may have removed the earlier ones of those that were kept.
        up_to = self.removed["last"] if self.removed else 0
        gone = sorted(seq for _, seq in self.kept if seq > up_to or seq == self.last_kept)
        check(not gone, f"a checkpoint that was kept is not in the log: seq {gone}")
        check(self.proven, "nothing is wrong, but nothing is proven: no checkpoint was written yet, and no chain key given")


def secret(path):
    """As the gateway reads secrets: without one line feed at the end."""
    with open(path, "rb") as file:
        contents = file.read()
    if contents.endswith(b"\n"):
        contents = contents[:-1]
        contents = contents[:-1] if contents.endswith(b"\r") else contents
    return contents


def kept_checkpoints(path, keys):
    kept = {}
    with open(path, "rb") as file:
        for line in filter(None, map(bytes.strip, file)):
            line += b"\n"
            form = LINE.fullmatch(line)
            check(form and form[2] == b"checkpoint", "a checkpoint that was kept is none")
            record = parse(line)
            covered = line[: -len(b',"mac":"') - 64 - len(b'"}\n')]
            check(is_signed(keys, record["key"], covered), "a checkpoint that was kept has a wrong signature")
            of = (record["chain"], int(form[1]))
            check(kept.setdefault(of, line) == line, "two different checkpoints with one number were kept")
    return kept


def main():
    parser = argparse.ArgumentParser(description="Verify an audit log.")
    parser.add_argument("folder")
    parser.add_argument("--public-key", required=True, action="append", help="again for each earlier key")
    parser.add_argument("--chain-key")
    parser.add_argument("--checkpoint")
    arguments = parser.parse_args()
    try:
        keys = [PublicKey(path) for path in arguments.public_key]
        by_id = {key.id: key for key in keys}
        kept = kept_checkpoints(arguments.checkpoint, by_id) if arguments.checkpoint else {}
        key = secret(arguments.chain_key) if arguments.chain_key else None
        verifier = Verifier(keys, key, kept)
        names = sorted(filter(NAME.fullmatch, os.listdir(arguments.folder)))
        for name in names:
            path = os.path.join(arguments.folder, name)
            check(os.path.isfile(path) and not os.path.islink(path), f"{name} is no file")
            with open(path, "rb") as file:
                verifier.segment(int(name[6:22]), file.read(), name == names[-1])
        verifier.end()
    except Wrong as wrong:
        print(f"NOT CLEAN: {wrong}")
        return 1
    except (KeyError, TypeError):
        print("NOT CLEAN: a member is missing or of another type")
        return 1
    print(f"clean up to seq {verifier.seq}")
    if verifier.removed:
        print(f"removed in the name of retention: seq 1 to {verifier.removed['last']}: compare with what was decided")
    return 0


if __name__ == "__main__":
    sys.exit(main())
