"""What the rules find and what they leave alone; never run."""

# ruleid: checked-peers
ssl._create_unverified_context()
# ruleid: checked-peers
context.check_hostname = False
# ruleid: checked-peers
connect(url, verify=False)
# ok: checked-peers
ssl.create_default_context()

# ruleid: constant-time
if row.mac == computed:
    pass
# ruleid: constant-time
if csrf != given:
    pass
# ok: constant-time
if hmac.compare_digest(row.mac, computed):
    pass

# ruleid: guarded-egress
httpx.AsyncClient(timeout=3)
# ruleid: guarded-egress
AsyncOAuth2Client(client_id="x")
# ok: guarded-egress
egress.get_json(url, within=[url], tenant=tenant)

# ruleid: host-decides-nothing
request.headers.get("host")
# ruleid: host-decides-nothing
request.base_url
# ok: host-decides-nothing
request.app.state.public_url

# ruleid: no-algorithm-by-header
jwt.decode(token, key)
# ok: no-algorithm-by-header
jwt.decode(token, key, registry=REGISTRY)

# ruleid: no-unsafe-reading
pickle.loads(body)
# ok: no-unsafe-reading
orjson.loads(body)

# ruleid: random-is-random
random.choice(letters)
# ok: random-is-random
os.urandom(32)

# ruleid: settings-from-one-place
os.environ["WISER_MODE"]
# ok: settings-from-one-place
Settings.from_env()

# ruleid: sql-with-parameters
db.execute("select %s" % name)
# ruleid: sql-with-parameters
text("select " + name)
# ok: sql-with-parameters
db.execute(text("select :name"), {"name": name})

# ruleid: words-in-logs
log.info(f"case {case} decided")
# ruleid: words-in-logs
log.warning("case %s", case)
# ok: words-in-logs
log.info("decided", extra={"case": case})
