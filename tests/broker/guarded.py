"""A broker that asks who one is, over TLS, beside the listener that asks nobody."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from kafka_server import JavaBroker, free_port, java_jars

_STORE = "changeit"
# With these only those may do something whom an access rule allows it; whom nobody asks who they are may do all.
ACCESS_RULES = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": "User:ANONYMOUS",
}


def guarded_broker(
    folder: Path, passwords: Mapping[str, str], extra: Mapping[str, str] | None = None
) -> tuple[JavaBroker, int]:
    """Return a broker, its plain listener at `bootstrap`, and the port of the one where these users sign in."""
    port, plain, controller = free_port(), free_port(), free_port()
    users = " ".join(f'user_{name}="{password}"' for name, password in passwords.items())
    given = {
        "controller.quorum.voters": f"1@localhost:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{plain},GUARDED://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{plain},GUARDED://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,GUARDED:SASL_SSL",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": (
            f"org.apache.kafka.common.security.plain.PlainLoginModule required {users};"
        ),
        "listener.name.guarded.ssl.keystore.type": "PKCS12",
        "listener.name.guarded.ssl.keystore.location": str(make_certificate(folder)),
        "listener.name.guarded.ssl.keystore.password": _STORE,
        **(extra or {}),
    }
    return JavaBroker(folder, java_jars(), plain, extra=given), port


def allow(bootstrap: str, user: str, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Let a user of a broker with access rules do one thing; `bootstrap` is where nobody is asked who they are."""
    exactly, yes = ResourcePatternType.LITERAL, AclPermissionType.ALLOW
    admin = AdminClient({"bootstrap.servers": bootstrap})
    [done] = admin.create_acls([AclBinding(kind, name, exactly, f"User:{user}", "*", operation, yes)]).values()
    done.result(30)


def mutual_tls(trusted: Path) -> dict[str, str]:
    """Return what a guarded broker needs beside in order to ask for a certificate of this or signed by it."""
    return {
        "listener.name.guarded.ssl.client.auth": "required",
        "listener.name.guarded.ssl.truststore.type": "PEM",
        "listener.name.guarded.ssl.truststore.location": str(trusted),
    }


def make_client_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Return the files of a certificate that signs itself, for 127.0.0.1, and of its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    named = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", *made, *named, *files], check=True, capture_output=True)
    return certificate, key


def make_certificate(folder: Path) -> Path:
    store = folder / "broker.p12"
    common = ["-keystore", str(store), "-storepass", _STORE, "-alias", "broker", "-storetype", "PKCS12"]
    made = ["-genkeypair", "-keyalg", "EC", "-dname", "CN=127.0.0.1", "-ext", "SAN=ip:127.0.0.1", "-validity", "2"]
    subprocess.run(["keytool", *made, *common], check=True, capture_output=True)
    subprocess.run(
        ["keytool", "-exportcert", "-rfc", *common, "-file", str(folder / "ca.pem")], check=True, capture_output=True
    )
    return store
