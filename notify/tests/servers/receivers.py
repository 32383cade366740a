"""Receivers that are not ours: SMTP servers (aiosmtpd) and an HTTPS server, with certificates made for the run.

    python receivers.py FOLDER

Prints one JSON line with ports and files, then one per mail that was accepted, as Python's email package reads it.
Recipients: refused@… never, later@… not the first time, others by chance (argument FAIL, percent, seeded).
Ends when its standard input does.
"""

import asyncio
import datetime
import email
import email.policy
import http.server
import ipaddress
import json
import logging
import random
import ssl
import sys
import threading
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# Handshakes that fail are what some tests are about.
logging.disable(logging.CRITICAL)
warnings.simplefilter("ignore")
folder = sys.argv[1]
fail = int(sys.argv[2]) if len(sys.argv) > 2 else 0
chance = random.Random(5)
lock = threading.Lock()


def say(row):
    with lock:
        print(json.dumps(row), flush=True)


def certificates():
    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)

    def certificate(subject, issuer, key):
        builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
        return builder.public_key(key.public_key()).serial_number(x509.random_serial_number()).not_valid_before(
            now - day
        ).not_valid_after(now + day)

    authority_key = ec.generate_private_key(ec.SECP256R1())
    authority = certificate("test authority", "test authority", authority_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=None), critical=True
    ).sign(authority_key, hashes.SHA256())
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    server = certificate("localhost", "test authority", key).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    ).sign(authority_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    with open(f"{folder}/authority.pem", "wb") as file:
        file.write(authority.public_bytes(pem))
    with open(f"{folder}/server.pem", "wb") as file:
        file.write(server.public_bytes(pem))
        file.write(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )


class Handler:
    def __init__(self, name):
        self.name = name
        self.seen = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        user = address.split("@")[0]
        if user == "refused":
            return "550 5.1.1 no such user here"
        if user == "later" and address not in self.seen:
            self.seen.add(address)
            return "451 4.7.1 greylisted, come again"
        if chance.randrange(100) < fail // 2:
            return "450 4.2.0 mailbox busy"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        drawn = chance.randrange(200)
        if drawn < fail // 2:
            return "451 4.3.0 trouble"
        if drawn < fail:
            # Taken, but the answer gets lost.
            self.log(server, session, envelope)
            server.transport.abort()
            return "250 OK"
        self.log(server, session, envelope)
        return "250 2.0.0 queued"

    def log(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [
            {"type": part.get_content_type(), "text": part.get_content()}
            for part in message.walk()
            if not part.is_multipart()
        ]
        say({
            "server": self.name,
            "peer": list(session.peer),
            "tls": session.ssl is not None or self.name == "implicit",
            "user": getattr(session, "auth_data", None) and session.auth_data.login.decode(),
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name: str(value) for name, value in message.items()},
            "content_type": message.get_content_type(),
            "parts": parts,
        })


def authenticate(server, session, envelope, mechanism, data):
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"alerts", b"open sesame")
    return AuthResult(success=right, handled=False, auth_data=data)


certificates()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(f"{folder}/server.pem")
auth = {"authenticator": authenticate, "auth_required": True}
servers = {
    "plain": ({}, None),
    "starttls": ({"tls_context": context, "require_starttls": True, **auth}, None),
    "login": (
        {"tls_context": context, "require_starttls": True, "auth_exclude_mechanism": ["PLAIN"], **auth},
        None,
    ),
    "implicit": ({"auth_require_tls": False, **auth}, context),
}


async def serve_mail():
    loop = asyncio.get_running_loop()
    ports = {}
    for name, (options, tls) in servers.items():
        handler = Handler(name)

        def protocol(handler=handler, options=options):
            return SMTP(handler, hostname="localhost", loop=loop, **options)

        server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=tls)
        ports[name] = server.sockets[0].getsockname()[1]
    return ports


loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
ports = asyncio.run_coroutine_threadsafe(serve_mail(), loop).result()


class Web(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web)
web.socket = context.wrap_socket(web.socket, server_side=True)
threading.Thread(target=web.serve_forever, daemon=True).start()
ports["https"] = web.server_address[1]
say({"ports": ports, "authority": f"{folder}/authority.pem"})
sys.stdin.read()
