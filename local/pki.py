"""Keys and certificates, issued with openssl: a CA, the certificates that it signs, and a key pair for tokens."""

from dataclasses import dataclass
from pathlib import Path

from local import network
from local.command import run

_EC_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_DAYS = "3650"


@dataclass(frozen=True)
class Identity:
    """A certificate to issue. In Kubernetes the common name is the user and the organization is the group."""

    name: str
    common_name: str
    organization: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """The subject in the format of openssl."""
        organization = f"/O={self.organization}" if self.organization else ""
        return f"{organization}/CN={self.common_name}"


def _alternative_names(hosts: tuple[str, ...]) -> str:
    return ",".join(f"{'IP' if host[0].isdigit() else 'DNS'}:{host}" for host in hosts)


IDENTITIES = (
    Identity(
        "kube-apiserver",
        "kube-apiserver",
        hosts=(
            "127.0.0.1",  # the relay's address on the machine, for kubectl
            network.NODE_IP,
            network.KUBERNETES_SERVICE_IP,
            "localhost",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
            f"kubernetes.default.svc.{network.CLUSTER_DOMAIN}",
        ),
    ),
    Identity("kubelet-serving", network.NODE_NAME, hosts=(network.NODE_IP, network.NODE_NAME)),
    Identity("kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", "system:masters"),
    Identity("admin", "admin", "system:masters"),
    Identity("kubelet", f"system:node:{network.NODE_NAME}", "system:nodes"),
    Identity("kube-controller-manager", "system:kube-controller-manager"),
    Identity("kube-scheduler", "system:kube-scheduler"),
    Identity("kube-proxy", "system:kube-proxy"),
)


def issue(directory: Path) -> None:
    """Write `ca`, `service-account` and every identity's `.key` and `.crt` to the directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    ca_key, ca_crt = directory / "ca.key", directory / "ca.crt"
    _request(ca_key, ca_crt, "/CN=caisson-local", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    for identity in IDENTITIES:
        options = ["-CA", str(ca_crt), "-CAkey", str(ca_key)]
        options += ["-addext", "basicConstraints=critical,CA:FALSE"]
        options += ["-addext", "extendedKeyUsage=serverAuth,clientAuth"]
        if identity.hosts:
            options += ["-addext", f"subjectAltName={_alternative_names(identity.hosts)}"]
        _request(directory / f"{identity.name}.key", directory / f"{identity.name}.crt", identity.subject, *options)
    private, public = directory / "service-account.key", directory / "service-account.pub"
    run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private])
    run(["openssl", "pkey", "-in", private, "-pubout", "-out", public])


def _request(key: Path, certificate: Path, subject: str, *options: str) -> None:
    run(
        [
            *("openssl", "req", "-x509", *_EC_KEY, "-days", _DAYS, "-subj", subject),
            *("-keyout", key, "-out", certificate),
            *options,
        ],
        fix="install OpenSSL 3 or newer",
    )
