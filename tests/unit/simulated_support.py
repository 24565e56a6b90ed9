"""What the tests of the simulated key share: real python-fido2 at the other end."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap2 import Ctap2
from fido2.server import Fido2Server
from fido2.webauthn import (
    PublicKeyCredentialParameters,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialType,
)

from stepupd.devices.simulated import Algorithm, HidPort, SimulatedDevice, SimulatedKey

RP_ID = "host.example"
USER = {"id": b"ada-1", "name": "ada", "displayName": "Ada"}
HASH = bytes(range(32))
PATIENCE = 30


def make_key(path=None, *, seed=b"test", model=None, clock=None, **script):
    """Make a key that is touched at once, unless the script says otherwise."""
    clocked = {} if clock is None else {"clock": clock}
    key = SimulatedKey(path, seed=seed, model=model, **clocked)
    key.change_script(**{"touch_after_ms": 0, **script})
    return key


def open_hid(key):
    return HidPort(key).open_device()


SEAMS = [SimulatedDevice, open_hid]


class Person(UserInteraction):
    """Knows a PIN and counts what was asked of it."""

    def __init__(self, pin=None):
        self.pin = pin
        self.prompts = 0
        self.pins_asked = 0

    def prompt_up(self):
        self.prompts += 1

    def request_pin(self, permissions, rp_id):  # noqa: ARG002 - the library calls it with these
        self.pins_asked += 1
        return self.pin


class Party:
    """A relying party and its client on one device."""

    def __init__(self, device, person=None, algorithm=None, uv="discouraged"):
        self.device = device
        self.person = person or Person()
        self.uv = uv
        collector = DefaultClientDataCollector(f"https://{RP_ID}")
        self.client = Fido2Client(device, collector, self.person)
        rp = PublicKeyCredentialRpEntity(id=RP_ID, name="host")
        self.server = Fido2Server(rp, attestation="direct")
        if algorithm is not None:
            kind = PublicKeyCredentialType.PUBLIC_KEY
            self.server.allowed_algorithms = [
                PublicKeyCredentialParameters(type=kind, alg=algorithm)
            ]

    def register(self, user=USER, exclude=None, resident=None):
        """Run a registration that the server checks; return the attestation object."""
        made, _ = self.make(user, exclude, resident)
        return made

    def make(self, user=USER, exclude=None, resident=None):
        """Run a registration; return the attestation object and the client data's hash."""
        options, state = self.server.register_begin(
            user, exclude, resident_key_requirement=resident, user_verification=self.uv
        )
        response = self.client.make_credential(options.public_key)
        self.server.register_complete(state, response)
        return response.response.attestation_object, response.response.client_data.hash

    def sign(self, credentials=None, event=None):
        """Run the client's half of an authentication; return its selection and the state."""
        options, state = self.server.authenticate_begin(credentials, user_verification=self.uv)
        return self.client.get_assertion(options.public_key, event), state

    def authenticate(self, credentials):
        """Run an authentication that the server checks; return the authenticator data."""
        selection, state = self.sign(credentials)
        response = selection.get_response(0)
        self.server.authenticate_complete(state, credentials, response)
        return response.response.authenticator_data


def register(key, **settings):
    """Register one credential without further ado; return its attested credential data."""
    return Party(SimulatedDevice(key), **settings).register().auth_data.credential_data


def allow(*credentials):
    return [{"type": "public-key", "id": item.credential_id} for item in credentials]


def assertion(device, *credentials, **settings):
    """Ask for a raw assertion at CTAP level."""
    allowed = allow(*credentials) or None
    return Ctap2(device).get_assertion(RP_ID, HASH, allowed, **settings)


def make_raw(device, **settings):
    """Ask for a raw registration at CTAP level."""
    rp, parameters = {"id": RP_ID, "name": "host"}, [{"type": "public-key", "alg": Algorithm.ES256}]
    return Ctap2(device).make_credential(HASH, rp, USER, parameters, **settings)


@contextmanager
def elsewhere(work, *arguments, **settings):
    """Run `work` in another thread and give its future; wait for it at the end."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work, *arguments, **settings)
