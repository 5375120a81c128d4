#!/usr/bin/env python3
"""Recomputes docs/vectors from docs/PROTOCOL.md alone, with nothing but Python's standard
library: a second implementation, slow and small, that shares no code with mvb.

    python3 docs/examples/check_vectors.py
"""
import hashlib, hmac, json, pathlib

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "vectors"
MAX = 2**63 - 1
checked = 0


def H(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u(value, size):
    return value.to_bytes(size, "big")


class Refused(Exception):
    pass


def need(rule, why):
    if not rule:
        raise Refused(why)


# Section 2: keys, signatures, addresses.
class Curve:
    def __init__(self, bits, weight, digest, p, n, b, gx, gy):
        self.bits, self.weight, self.digest = bits, weight, digest
        self.p, self.n, self.b, self.g = p, n, b, (gx, gy)
        self.size = (bits + 7) // 8

    def add(self, P, Q):
        if P is None or Q is None:
            return P or Q
        if P[0] == Q[0]:
            if (P[1] + Q[1]) % self.p == 0:
                return None
            m = (3 * P[0] * P[0] - 3) * pow(2 * P[1], -1, self.p)
        else:
            m = (Q[1] - P[1]) * pow(Q[0] - P[0], -1, self.p)
        x = (m * m - P[0] - Q[0]) % self.p
        return x, (m * (P[0] - x) - P[1]) % self.p

    def mul(self, k, P):
        R = None
        while k:
            if k & 1:
                R = self.add(R, P)
            P, k = self.add(P, P), k >> 1
        return R

    def point(self, key):
        x = int.from_bytes(key[1:], "big")
        need(x < self.p, "x is not below the prime")
        yy = (x**3 - 3 * x + self.b) % self.p
        y = pow(yy, (self.p + 1) // 4, self.p)
        need(y * y % self.p == yy, "no point has this x")
        return x, y if y % 2 == key[0] % 2 else self.p - y

    def number(self, data):
        """The leftmost bits of a digest, as many as n has."""
        value = int.from_bytes(data, "big")
        return value >> max(0, 8 * len(data) - self.n.bit_length())

    def nonce(self, secret, message):
        """RFC 6979, section 3.2."""
        h1 = hashlib.new(self.digest, message).digest()
        seed = u(secret, self.size) + u(self.number(h1) % self.n, self.size)
        mac = lambda k, m: hmac.new(k, m, self.digest).digest()
        V, K = b"\1" * len(h1), b"\0" * len(h1)
        for mark in b"\0", b"\1":
            K = mac(K, V + mark + seed)
            V = mac(K, V)
        while True:
            T = b""
            while 8 * len(T) < self.n.bit_length():
                V = mac(K, V)
                T += V
            k = self.number(T)
            if 0 < k < self.n:
                return k
            K = mac(K, V + b"\0")
            V = mac(K, V)

    def sign(self, secret, message):
        k = self.nonce(secret, message)
        r = self.mul(k, self.g)[0] % self.n
        e = self.number(hashlib.new(self.digest, message).digest())
        s = pow(k, -1, self.n) * (e + r * secret) % self.n
        return u(r, self.size) + u(min(s, self.n - s), self.size)

    def public(self, secret):
        x, y = self.mul(secret, self.g)
        return bytes([2 + y % 2]) + u(x, self.size)


P256 = Curve(256, 1, "sha256",
    0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff,
    0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
    0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
    0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
    0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)
P384 = Curve(384, 4, "sha384", 2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
    0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
    0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
    0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f)
P521 = Curve(521, 6, "sha512", 2**521 - 1,
    2**521 - 0x5ae79787c40d069948033feb708f65a2fc44a36477663b851449048e16ec79bf7,
    0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00,
    0x00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dbaa14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66,
    0x011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650)
CURVES = {33: P256, 49: P384, 67: P521}


def check_key(key):
    need(len(key) in CURVES, "length of the key")
    need(key[0] in (2, 3), "tag of the key")
    return CURVES[len(key)]


def verify(key, message, signature):
    curve = check_key(key)
    need(len(signature) == 2 * curve.size, "length of the signature")
    r, s = (int.from_bytes(half, "big") for half in (signature[:curve.size], signature[curve.size:]))
    need(0 < r < curve.n and 0 < s < curve.n, "r or s out of range")
    need(s <= curve.n // 2, "high s")
    Q = curve.point(key)
    e, w = curve.number(hashlib.new(curve.digest, message).digest()), pow(s, -1, curve.n)
    R = curve.add(curve.mul(e * w % curve.n, curve.g), curve.mul(r * w % curve.n, Q))
    need(R is not None and R[0] % curve.n == r, "signature")


def show(address):
    digits, c = address.hex(), H(address.hex().encode()).hex()
    return "".join(d.upper() if int(n, 16) >= 8 else d for d, n in zip(digits, c))


def parse_address(text):
    need(len(text) == 64 and all(c in "0123456789abcdefABCDEF" for c in text), "64 hex digits")
    address = bytes.fromhex(text)
    if text in (text.lower(), text.upper()):
        return address, "absent"
    need(text == show(address), "checksum")
    return address, "verified"


# Section 3: parameters.
ORDER = ["rules_version", "network_name", "difficulty", "block_size", "block_reward",
         "target_block_seconds", "max_block_bytes"]


def genesis_id(p):
    need(p["rules_version"] == 1, "rules_version")
    name = p["network_name"].encode()
    need(1 <= len(name) <= 32, "name")
    need(not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in p["network_name"]), "name")
    need(1 <= p["difficulty"] <= 64, "difficulty")
    need(1 <= p["block_reward"] <= MAX, "block_reward")
    seconds, size = p["target_block_seconds"], p["max_block_bytes"]
    need(seconds == 0 or 5 <= seconds <= 86_400, "target_block_seconds")
    need(1_024 <= size <= 8_388_608, "max_block_bytes")
    need(1 <= p["block_size"] <= 1 + min((size - 194) // 203, 6_144), "block_size")
    return H(b"mvb/genesis", u(1, 4), u(len(name), 1), name, u(p["difficulty"], 1),
             u(p["block_size"], 4), u(p["block_reward"], 8), u(seconds, 4), u(size, 4))


# Section 6: targets.
def compact(target):
    s = (target.bit_length() + 7) // 8
    d = target >> 8 * (s - 3) if s > 3 else target << 8 * (3 - s)
    if d >= 0x800000:
        d, s = d >> 8, s + 1
    return s << 24 | d


def expand(bits):
    s, d = bits >> 24, bits & 0xFFFFFF
    target = d << 8 * (s - 3) if s > 3 else d >> 8 * (3 - s)
    need(0 < target < 2**256 and compact(target) == bits, "compact target")
    return target


def work(target):
    return min(2**256 // target, 2**256 - 1)


def next_target(difficulty, seconds, recent):
    easiest = 2 ** (256 - difficulty)
    if seconds == 0 or len(recent) < 61:
        return compact(easiest)
    T, last = 1_000 * seconds, recent[-61:]
    solve = sum(i * min(6 * T, last[i][0] - last[i - 1][0]) for i in range(1, 61))
    L = max(solve, 60 * 60 * T // 20)
    mean = sum(expand(bits) for _, bits in last[1:]) * L // (60 * T * 1830)
    return compact(min(max(mean, 1), easiest))


# Section 9: canonical MessagePack. A schema is "u" with bits, "b" with a length, "s", a list
# (a structure), or ("*", element, most).
class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(self.at + n <= len(self.data), "cut short")
        self.at += n
        return self.data[self.at - n:self.at]

    def length(self, fix, fix_most, forms):
        mark = self.take(1)[0]
        if fix <= mark <= fix + fix_most:
            return mark - fix
        need(mark in forms, f"unexpected mark {mark:#x}")
        size = forms[mark]
        value = int.from_bytes(self.take(size), "big")
        least = max([fix_most + 1 if fix_most >= 0 else 0] + [256**f for f in forms.values() if f < size])
        need(value >= least, "not the shortest form")
        return value

    def read(self, schema):
        if isinstance(schema, list):
            need(self.length(0x90, 15, {0xDC: 2, 0xDD: 4}) == len(schema), "number of fields")
            return [self.read(field) for field in schema]
        if isinstance(schema, tuple):
            _, element, most = schema
            count = self.length(0x90, 15, {0xDC: 2, 0xDD: 4})
            need(count <= most, "too many")
            return [self.read(element) for _ in range(count)]
        if schema[0] == "u":
            value = self.length(0, 127, {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8})
            need(value < 2 ** int(schema[1:]), "too large an integer")
            return value
        if schema == "s":
            try:
                return self.take(self.length(0xA0, 31, {0xD9: 1, 0xDA: 2, 0xDB: 4})).decode()
            except UnicodeDecodeError:
                raise Refused("UTF-8")
        size = self.length(0x100, -1, {0xC4: 1, 0xC5: 2, 0xC6: 4})
        need(schema == "b" or size == int(schema[1:]), "length of bytes")
        return self.take(size)


PARAMS = ["u32", "s", "u8", "u32", "u64", "u32", "u32"]
ANNOUNCEMENT = [PARAMS, ["b32", "u64", "b32"]]
TRANSACTION = ["b32", "b32", "u64", "u64", "u64", "u64", "b", "b"]
BLOCK = ["b96", ("*", TRANSACTION, 6_144), ["b32", "u64", "u64"]]
DATAGRAMS = {1: [ANNOUNCEMENT, ["b16", "u16"]], 2: TRANSACTION}
HELLO = {16: ["u8", "u8", "u64", "b16", ANNOUNCEMENT]}
REQUESTS = {17: [("*", "b32", 64), "u16"], 19: [("*", "b32", 128)], 22: TRANSACTION}
RESPONSES = {18: [("*", "b96", 2_000)], 20: BLOCK, 21: "b32", 23: "b32", 24: ["b32", "s"], 26: ANNOUNCEMENT}


def decode(data, schema):
    reader = Reader(data)
    value = reader.read(schema)
    need(reader.at == len(data), "bytes left over")
    return value


def check_transaction_form(tx):
    check_key(tx[6])
    need(len(tx[7]) in (64, 96, 132), "length of the signature")


def check_announcement(announcement, genesis):
    need(genesis_id(dict(zip(ORDER, announcement[0]))) == genesis, "genesis id")


def read_message(place, data, genesis):
    if place in ("datagram", "hello"):
        need(len(data) <= 512 and len(data) >= 38 and data[:4] == b"mvb1" and data[4] == 1, "envelope")
        kinds, kind, payload, genesis = (DATAGRAMS if place == "datagram" else HELLO), data[5], data[38:], data[6:38]
    else:
        need(data, "empty")
        kinds, kind, payload = (REQUESTS if place == "request" else RESPONSES), data[0], data[1:]
        need(place != "request" or len(data) <= 8_192, "size")
    need(kind in kinds, "type")
    value = decode(payload, kinds[kind])
    if kind in (2, 22):
        check_transaction_form(value)
    if kind == 2:
        need(value[0] == genesis, "genesis id")
    if kind == 20:
        for tx in value[1]:
            check_transaction_form(tx)
    if kind in (1, 16, 26):
        check_announcement({1: lambda: value[0], 16: lambda: value[4], 26: lambda: value}[kind](), genesis)
    if kind == 1:
        need(value[1][1] >= 1_024, "port")
    if kind == 17:
        need(1 <= value[1] <= 2_000, "limit")
    if kind == 24:
        need(len(value[1].encode()) <= 200, "reason")
        need(not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in value[1]), "reason")
    return kind, value


# Section 4: transactions.
def signed_bytes(tx):
    genesis, to, amount, fee, sequence, timestamp, key, _ = tx
    return b"".join([b"mvb/tx\0\1", genesis, b"\1", to, u(amount, 8), u(fee, 8), u(sequence, 8),
                     u(timestamp, 8), u(len(key), 1), key])


def check_transaction(tx, genesis):
    check_transaction_form(tx)
    need(tx[0] == genesis, "network")
    need(tx[2] >= 1 and tx[2] + tx[3] <= MAX, "amount and fee")
    need(tx[4] <= 2**64 - 2, "sequence")
    need(len(tx[7]) == 2 * CURVES[len(tx[6])].size, "length of the signature")


def wid(tx):
    return H(b"\0", signed_bytes(tx), tx[7])


# Section 5 and 7: blocks.
def merkle(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else H()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return H(b"\1", merkle(leaves[:k]), merkle(leaves[k:]))


class Verdict(Exception):
    pass


def judge(rule, verdict):
    if not rule:
        raise Verdict(verdict)


class Chain:
    """The end of a chain of fixed difficulty, and its ledger."""

    def __init__(self, params):
        self.params, self.genesis = params, genesis_id(params)
        self.id, self.height, self.timestamp, self.work, self.accounts = self.genesis, 0, 0, 0, {}

    def connect(self, block, now):
        header, txs, (to, amount, extra) = block
        p, parts = self.params, [header[i:j] for i, j in ((0, 32), (32, 64), (64, 68), (68, 72), (72, 80), (80, 88))]
        previous, root = parts[:2]
        version, bits, height, timestamp = (int.from_bytes(part, "big") for part in parts[2:])
        target = 2 ** (256 - p["difficulty"])
        judge(previous == self.id, "NotYet")
        judge(height == self.height + 1 and version == 1 and bits == compact(target), "Invalid")
        judge(int.from_bytes(H(header), "big") < target and timestamp > self.timestamp, "Invalid")
        judge(timestamp <= now + 7_200_000, "NotYet")
        reward = H(b"mvb/reward", self.genesis, u(height, 8), to, u(amount, 8), u(extra, 8))
        wids = [wid(tx) for tx in txs]
        judge(root == H(b"mvb/body", u(len(txs), 4), merkle(wids), reward, bytes(32)), "BodyMismatch")
        judge(194 + sum(len(signed_bytes(tx)) + len(tx[7]) for tx in txs) <= p["max_block_bytes"], "Invalid")
        judge(sum(CURVES[len(tx[6])].weight for tx in txs) <= 6_144, "Invalid")
        judge(height == 1 or len(txs) >= p["block_size"] - 1, "Invalid")
        judge(len({H(signed_bytes(tx)) for tx in txs}) == len(txs), "Invalid")
        accounts = {address: list(account) for address, account in self.accounts.items()}
        account = lambda address: accounts.setdefault(address, [0, 0])
        for tx in txs:
            try:
                check_transaction(tx, self.genesis)
                verify(tx[6], signed_bytes(tx), tx[7])
            except Refused:
                raise Verdict("Invalid")
        for tx in txs:
            sender = account(H(tx[6]))
            judge(tx[4] == sender[1] and sender[0] >= tx[2] + tx[3], "Invalid")
            sender[0] -= tx[2] + tx[3]
            sender[1] += 1
            account(tx[1])[0] += tx[2]
        subsidy = min(p["block_reward"], max(0, MAX - p["block_reward"] * (height - 1)))
        judge(amount == subsidy + sum(tx[3] for tx in txs), "Invalid")
        account(to)[0] += amount
        self.id, self.height, self.timestamp = H(header), height, timestamp
        self.work, self.accounts = self.work + work(target), accounts
        return reward, wids


def load(name):
    return json.loads((FOLDER / name).read_text())


def same(got, expected):
    global checked
    checked += 1
    assert got == expected, f"got {got!r}, expected {expected!r}"


def refused(function, *arguments, what=""):
    global checked
    checked += 1
    try:
        function(*arguments)
    except Refused:
        return
    raise AssertionError(f"accepted: {what}")


def main():
    B = bytes.fromhex
    file = load("keys.json")
    for c in file["valid"]:
        curve, message = check_key(B(c["public_key"])), B(c["message"])
        secret = int(c["secret"], 16)
        same(curve.bits, c["key_size"])
        same(curve.public(secret).hex(), c["public_key"])
        same(curve.sign(secret, message).hex(), c["signature"])
        same(show(H(B(c["public_key"]))), c["address"])
        verify(B(c["public_key"]), message, B(c["signature"]))
    for c in file["invalid_public_keys"]:
        refused(lambda key: check_key(key).point(key), B(c["public_key"]), what=c["what"])
    for c in file["invalid_signatures"]:
        refused(verify, B(c["public_key"]), B(c["message"]), B(c["signature"]), what=c["what"])

    file = load("addresses.json")
    for c in file["valid"]:
        same(parse_address(c["text"]), (B(c["address"]), c["checksum"]))
    for c in file["invalid"]:
        refused(parse_address, c["text"], what=c["what"])

    file = load("genesis.json")
    for c in file["valid"]:
        same(genesis_id(c["params"]).hex(), c["genesis"])
    for c in file["invalid"]:
        refused(genesis_id, c["params"], what=c["reason"])

    file = load("targets.json")
    for c in file["difficulties"] + file["compact"]:
        same(u(expand(c["compact"]), 32).hex(), c["target"])
        same(str(work(expand(c["compact"]))), c["work"])
        if "difficulty" in c:
            same(compact(2 ** (256 - c["difficulty"])), c["compact"])
    for c in file["invalid"]:
        refused(expand, c["compact"], what=c["reason"])

    for c in load("retargets.json")["cases"]:
        same(next_target(c["difficulty"], c["target_block_seconds"], c["recent"]), c["next"])
    for c in load("merkle.json")["cases"]:
        same(merkle([B(leaf) for leaf in c["leaves"]]).hex(), c["root"])

    def check_all(tx, genesis):
        check_transaction(tx, genesis)
        verify(tx[6], signed_bytes(tx), tx[7])

    file = load("transactions.json")
    for c in file["valid"]:
        tx = decode(B(c["messagepack"]), TRANSACTION)
        check_all(tx, B(file["genesis"]))
        same([tx[2], tx[3], tx[4], tx[5]], [c["amount"], c["fee"], c["sequence"], c["timestamp"]])
        same(signed_bytes(tx).hex(), c["signed_bytes"])
        same([H(signed_bytes(tx)).hex(), wid(tx).hex(), H(tx[6]).hex()], [c["id"], c["wid"], c["from"]])
        same(len(signed_bytes(tx)) + len(tx[7]), c["size"])
    for c in file["invalid"]:
        refused(check_all, decode(B(c["messagepack"]), TRANSACTION), B(file["genesis"]), what=c["what"])

    file = load("blocks.json")
    chain = Chain(file["params"])
    same(chain.genesis.hex(), file["genesis"])
    for c in file["valid"]:
        block = decode(B(c["messagepack"]), BLOCK)
        reward, wids = chain.connect(block, file["now"])
        same([block[0].hex(), chain.id.hex(), chain.height], [c["header"], c["id"], c["height"]])
        same([reward.hex(), merkle(wids).hex()], [c["reward_hash"], c["merkle_root"]])
        same(str(chain.work), c["work_after"])
        same({a.hex(): v for a, v in chain.accounts.items()}, c["accounts_after"])
    for c in file["invalid"]:
        try:
            Chain.connect(chain, decode(B(c["messagepack"]), BLOCK), file["now"])
            raise AssertionError(f"accepted: {c['what']}")
        except Verdict as verdict:
            same(str(verdict), c["verdict"])

    file = load("messages.json")
    for c in file["valid"]:
        kind, value = read_message(c["read_as"], B(c["bytes"]), B(file["genesis"]))
        if c["message"] in ("Transaction", "OfferTransaction"):
            same(H(signed_bytes(value)).hex(), c["fields"]["id"])
        elif c["message"] == "Block":
            same(H(value[0]).hex(), c["fields"]["id"])
        elif c["message"] == "Status":
            same([value[1][0].hex(), value[1][1]], [c["fields"]["node"], c["fields"]["port"]])
    for c in file["invalid"]:
        refused(read_message, c["read_as"], B(c["bytes"]), B(file["genesis"]), what=c["what"])

    print(f"{checked} checks passed")


if __name__ == "__main__":
    main()
