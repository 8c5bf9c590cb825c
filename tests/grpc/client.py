"""Asks a daemon by gRPC as any program would that has nothing of cfs-repl but the address of its socket.

Messages and methods come from reflection alone. Answers are held against what `cfs-repl -o json` says.

    client.py SOCKET PROGRAM CONFLICT
"""

import json
import os
import subprocess
import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

SOCKET, PROGRAM, CONFLICT = sys.argv[1:]
ADMIN = "claudefs.repl.admin.v1.Admin"
HEALTH = "grpc.health.v1.Health"
HEALTHY = ["", ADMIN, "claudefs.repl.v1.Conduit"]
PATIENCE = 30


def same(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r}, and not {expected!r}")


def program(*words):
    """The items that the command line prints."""
    command = [PROGRAM, *words, "--server", f"unix:{SOCKET}", "-o", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["items"]


# gRPC's C core names the path of a unix socket as the authority, with %2F in it, which is none (RFC 3986), and which
# HTTP/2 servers refuse.
channel = grpc.insecure_channel(f"unix:{SOCKET}", options=[("grpc.default_authority", "localhost")])
grpc.channel_ready_future(channel).result(timeout=PATIENCE)

# Reflection tells which services there are, and what they are made of.
reflection = ProtoReflectionDescriptorDatabase(channel)
services = set(reflection.get_services())
for service in [ADMIN, HEALTH, "grpc.reflection.v1alpha.ServerReflection"]:
    same(f"{service} is listed", service in services, True)
pool = descriptor_pool.DescriptorPool(reflection)
admin = pool.FindServiceByName(ADMIN)
called = set()


def call(name, **fields):
    """The answer of a method, or the stream of its answers."""
    method = admin.methods_by_name[name]
    called.add(name)
    request = message_factory.GetMessageClass(method.input_type)(**fields)
    reply = message_factory.GetMessageClass(method.output_type)
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    stub = make(f"/{ADMIN}/{name}", request_serializer=type(request).SerializeToString, response_deserializer=reply.FromString)
    return stub(request, timeout=PATIENCE)


def word(message, field):
    """An enum as the command line says it: VERDICT_OK is ok."""
    kind = message.DESCRIPTOR.fields_by_name[field].enum_type
    name = kind.values_by_number[getattr(message, field)].name
    prefix = "".join("_" + c if c.isupper() else c for c in kind.name).upper().lstrip("_")
    return name.removeprefix(prefix + "_").lower()


# Health, of the process and of each service.
health = health_pb2_grpc.HealthStub(channel)
for service in HEALTHY:
    reply = health.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE)
    same(f"health of {service!r}", reply.status, health_pb2.HealthCheckResponse.SERVING)
try:
    health.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=PATIENCE)
    sys.exit("a service that does not exist is healthy")
except grpc.RpcError as error:
    same("health of nothing", error.code(), grpc.StatusCode.NOT_FOUND)

# Every method that reads.
status, expected = call("Status"), program("status")[0]
for field in ["site", "site_id", "version"]:
    same(f"status {field}", getattr(status, field), expected[field])
same("verdict", word(status, "verdict"), expected["verdict"])
same("open conflicts", status.conflicts.open, expected["conflicts"]["open"])
same("sites", [site.site for site in status.sites], [site["site"] for site in expected["sites"]])
same("journal", status.journal.head_entries, expected["journal"]["head_entries"])

lag, expected = call("Lag", shards=True), program("lag")
same("lag of sites", [site.site for site in lag.sites], [site["site"] for site in expected])
same("behind", [site.behind_entries for site in lag.sites], [site["behind_entries"] for site in expected])
same("shards were asked for", all(site.shards for site in lag.sites), True)
same("no shards", any(site.shards for site in call("Lag").sites), False)

pages = list(call("Conflicts"))
found, expected = [one for page in pages for one in page.conflicts], program("conflicts", "list")
same("conflicts", [one.id for one in found], [one["id"] for one in expected])
same("detected", [one.detected_us for one in found], [one["detected_us"] for one in expected])
same("count", pages[0].found, len(expected))

shown, expected = call("ShowConflict", id=CONFLICT), program("conflicts", "show", CONFLICT, "--diff")[0]
same("conflict", shown.conflict.id, CONFLICT)
same("why", shown.why, expected["why"])
same("lost", (shown.lost.size_bytes, shown.lost.root.hex()), (expected["lost"]["size_bytes"], expected["lost"]["root"]))
lost = b"".join(piece.bytes for piece in call("ReadLoser", id=CONFLICT))
same("lost bytes", len(lost), shown.lost.size_bytes)
stands = b"".join(piece.bytes for piece in call("ReadShown", id=CONFLICT, bytes_max=1 << 20))
same("shown bytes", len(stands), shown.shown.size_bytes)
for sign, bytes_ in [("-", lost), ("+", stands)]:
    same("a line of the diff", sign + bytes_.decode() in expected["diff"], True)
try:
    call("ShowConflict", id="c-0000000000")
    sys.exit("a conflict that does not exist is shown")
except grpc.RpcError as error:
    same("no such conflict", error.code(), grpc.StatusCode.NOT_FOUND)

watch = call("Watch", shards=False)
first = next(watch)
same("first update", (first.number, first.WhichOneof("what")), (1, "snapshot"))
same("watched", first.snapshot.status.site, status.site)
watch.cancel()

events, expected = list(call("Events")), program("events")
same("events", [one.number for one in events], [one["number"] for one in expected][: len(events)])
# It is told within a second of its recording.
follow = call("Events", follow=True, names=["conflict.lossy"])
same("recorded", next(follow).fields["conflict"], CONFLICT)
follow.cancel()

previews, expected = [piece.site for piece in call("CompactPreview") if piece.HasField("site")], program("compact", "--dry-run")
same("preview", [one.site for one in previews], [one["site"] for one in expected])

tail = [one for some in call("JournalTail", last=3) for one in some.entries]
expected = program("journal", "tail", "--lines", "3", "--state", os.path.dirname(SOCKET))
same("journal", [(one.stream, one.seq, one.op) for one in tail], [(one["stream"], int(one["seq"]), one["op"]) for one in expected])

invitations, expected = call("Invitations"), program("peer", "invitations")
same("invitations", [one.id for one in invitations.invitations], [one["id"] for one in expected])
same("who invites", invitations.site, status.site)

# What a method is called that reads says so: a new one has to be called here, too.
writes = ("Restore", "Ack", "Resume", "Pause", "Reconnect", "Remove", "Reload", "SetLogLevel", "Invite", "Revoke")
reads = {method.name for method in admin.methods if not method.name.startswith(writes)}
same("methods that read", called, reads)
print(f"{len(called)} methods, {len(services)} services")
