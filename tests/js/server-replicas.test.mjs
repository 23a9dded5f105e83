// The axum example as it is deployed: several processes behind a proxy, one of which dies, and one of which is told to stop. The
// files of examples/axum/deploy are read, and the program is started as they say.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { Agent, createServer, request as send } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parse, parseAllDocuments } from "yaml";

import { startProgram } from "./server/runtimes.mjs";
import { token } from "./server/tokens.mjs";
import { startUpstream } from "./server/upstream.mjs";
import { installPackage } from "./support/package.mjs";

const LIMIT = { timeout: 60_000 };
const root = fileURLToPath(new URL("../..", import.meta.url));
const deploy = join(root, "examples/axum/deploy");
const FUNCTION = "/functions/v1/behest-token";
const PAGE = "https://app.example.com";

let upstream, variables;
const running = new Set();

before(async () => {
  upstream = await startUpstream();
  variables = {
    SUPABASE_URL: upstream.url,
    SUPABASE_PUBLISHABLE_KEYS: '{"default":"sb_publishable_default"}',
    SUPABASE_SECRET_KEYS: '{"jobs":"sb_secret_jobs"}',
    BEHEST_KEY: "behest_sk_live_0123456789abcdef",
    BEHEST_BASE_URL: upstream.url,
    CORS_ORIGIN: PAGE,
    STRIPE_WEBHOOK_SECRET: "whsec_test_secret",
    LISTEN: "127.0.0.1:0",
    METRICS_LISTEN: "127.0.0.1:0",
  };
});

after(() => {
  for (const replica of running) replica.stop();
  upstream?.stop();
});

async function startReplica(more = {}) {
  const replica = await startProgram(process.env.EXAMPLE_AXUM, { ...variables, ...more });
  running.add(replica);
  const metricsPort = Number(/^metrics (\d+)$/m.exec(replica.log())?.[1]);
  const get = async (path, port = replica.port) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    return [response.status, await response.text()];
  };
  return { ...replica, get, metricsPort, metrics: async () => (await get("/metrics", metricsPort))[1] };
}

const session = (sub) => `Bearer ${token({ claims: { sub } }, upstream.url)}`;

/** One request for a token over `agent`: its status and body, or why there was no answer. */
function mint(port, sub, agent) {
  return new Promise((resolve) => {
    const headers = { origin: PAGE, authorization: session(sub) };
    const request = send({ host: "127.0.0.1", port, path: FUNCTION, method: "POST", headers, agent }, async (response) => {
      let text = "";
      try {
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode, text });
      } catch (error) {
        resolve({ error });
      }
    });
    request.on("error", (error) => resolve({ error })).end();
  });
}

/** A value of the text that Prometheus reads. */
const value = (text, name) => Number(text.split("\n").find((line) => line.startsWith(`${name} `))?.slice(name.length + 1) ?? 0);

/**
 * A proxy as load balancers are: it sends requests to the replicas that say they are ready, over connections that it keeps, turns to
 * the next one when a connection is refused, and answers 502 where an answer breaks off.
 */
async function startProxy(ports) {
  const replicas = ports.map((port) => ({ port, ready: true, agent: new Agent({ keepAlive: true }) }));
  const failures = [];
  let next = 0;
  let stopped = false;
  const watch = async (replica) => {
    while (!stopped) {
      const answer = await fetch(`http://127.0.0.1:${replica.port}/readyz`).catch(() => undefined);
      replica.ready = answer?.status === 200;
      await answer?.arrayBuffer();
      await setTimeout(50);
    }
  };
  const watching = Promise.all(replicas.map(watch));
  const forward = (incoming, outgoing, body, tries = 0) => {
    const ready = replicas.filter((replica) => replica.ready);
    const all = ready.length > 0 ? ready : replicas;
    const { port, agent } = all[next++ % all.length];
    const options = { host: "127.0.0.1", port, agent, path: incoming.url, method: incoming.method, headers: incoming.headers };
    const bad = (error) => {
      if (error.code === "ECONNREFUSED" && tries < replicas.length) return forward(incoming, outgoing, body, tries + 1);
      failures.push(error.code ?? error.message);
      if (outgoing.headersSent) outgoing.destroy();
      else outgoing.writeHead(502).end();
    };
    const request = send(options, (answer) => {
      const { connection, "transfer-encoding": _, ...headers } = answer.headers;
      outgoing.writeHead(answer.statusCode, headers);
      answer.on("error", bad).pipe(outgoing);
    });
    request.on("error", bad).end(body);
  };
  const server = createServer(async (incoming, outgoing) => {
    const chunks = [];
    for await (const chunk of incoming) chunks.push(chunk);
    forward(incoming, outgoing, Buffer.concat(chunks));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    failures,
    async stop() {
      stopped = true;
      await watching;
      server.closeAllConnections();
      server.close();
      for (const { agent } of replicas) agent.destroy();
    },
  };
}

/** Users who ask one after the other until `enough`: what each of them got. */
function traffic(users, ask) {
  const answers = [];
  let enough = false;
  const one = async (lane) => {
    for (let turn = 0; !enough; turn += 1) {
      const user = `user-${lane}-${turn}`;
      answers.push({ user, ...(await ask(user)) });
    }
  };
  const all = Promise.all(Array.from({ length: users }, (_, lane) => one(lane)));
  return {
    answers,
    reached: async (count) => {
      while (answers.length < count) await setTimeout(5);
    },
    end: () => ((enough = true), all),
  };
}

const WHOSE = (user) => `tok-${user}-tier-1`;

test("metrics tell how mints end, on a port of their own", LIMIT, async () => {
  const replica = await startReplica();
  assert.equal((await replica.get("/metrics"))[0], 404, "not where the world asks");
  assert.equal((await mint(replica.port, "plan-pro")).status, 200);
  assert.equal((await mint(replica.port, "mint-429")).status, 429);
  assert.equal((await fetch(`http://127.0.0.1:${replica.port}${FUNCTION}`, { method: "POST" })).status, 401);
  const preflight = { method: "OPTIONS", headers: { origin: PAGE, "access-control-request-method": "POST" } };
  assert.equal((await fetch(`http://127.0.0.1:${replica.port}${FUNCTION}`, preflight)).status, 204);
  const text = await replica.metrics();
  const expected = {
    'behest_mints_total{result="minted",reason=""}': 1,
    'behest_mints_total{result="refused",reason="rate_limited"}': 1,
    'behest_mints_total{result="refused",reason="missing_token"}': 1,
    'behest_mint_duration_seconds_count{result="minted"}': 1,
    'behest_mint_duration_seconds_count{result="refused"}': 2,
    'behest_mint_duration_seconds_bucket{result="minted",le="+Inf"}': 1,
    "behest_mints_in_flight": 0,
    'behest_exchanges_total{to="keys",result="200"}': 1,
    'behest_exchanges_total{to="rest",result="200"}': 1,
    'behest_exchanges_total{to="mint",result="200"}': 1,
    'behest_exchanges_total{to="mint",result="429"}': 1,
  };
  for (const [name, count] of Object.entries(expected)) assert.equal(value(text, name), count, `${name}\n${text}`);
  assert.ok(!/plan-pro|mint-429|behest_sk|sb_|eyJ/.test(text), `nothing of users and keys is in them\n${text}`);
  replica.stop();
});

test("requests in flight are counted, and those whose caller has left are not", LIMIT, async () => {
  const replica = await startReplica();
  const flying = async (count) => {
    while (value(await replica.metrics(), "behest_mints_in_flight") !== count) await setTimeout(10);
  };
  const socket = connect(replica.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(`POST ${FUNCTION} HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{`);
  await flying(1);
  socket.destroy();
  await flying(0);
  replica.stop();
});

test("without an address for metrics there are none", LIMIT, async () => {
  const replica = await startReplica({ METRICS_LISTEN: undefined });
  assert.ok(!/^metrics/m.test(replica.log()));
  assert.deepEqual(await replica.get("/healthz"), [200, "ok"]);
  assert.equal((await replica.get("/metrics"))[0], 404);
  replica.stop();
});

describe("two replicas behind a proxy", () => {
  test("one is killed: whoever was answered has a token, and the package's client gets one for everybody else", LIMIT, async () => {
    const [one, other] = await Promise.all([startReplica(), startReplica()]);
    const proxy = await startProxy([one.port, other.port]);
    const installed = await installPackage();
    const { createClient } = await installed.load("node.js");
    const granted = upstream.calls["/v1/auth/mint"] ?? 0;
    const people = traffic(8, async (user) => {
      const client = createClient({
        behestUrl: upstream.url,
        tokenUrl: `http://127.0.0.1:${proxy.port}${FUNCTION}`,
        getAccessToken: async () => token({ claims: { sub: user } }, upstream.url),
      });
      return client.warm().then(
        () => ({ ok: true }),
        (error) => ({ error }),
      );
    });
    const direct = traffic(8, (user) => mint(proxy.port, user));
    await people.reached(50);
    one.stop();
    await people.reached(people.answers.length + 200);
    await direct.reached(200);
    await Promise.all([people.end(), direct.end()]);
    assert.deepEqual(people.answers.filter(({ ok }) => !ok), [], `the proxy saw ${proxy.failures}`);
    // Who was told anything at all was told the truth: his own token, or that there is none.
    const told = direct.answers.filter(({ status }) => status === 200);
    for (const { user, text } of told) assert.equal(JSON.parse(text).token, WHOSE(user));
    assert.ok(direct.answers.every(({ status }) => status === 200 || status === 502), "nothing between a token and no answer");
    // What was under way, and what the proxy sent after it over connections that were dying.
    assert.ok(direct.answers.length - told.length <= 16, `lost: ${proxy.failures}`);
    assert.ok(upstream.calls["/v1/auth/mint"] - granted >= told.length + people.answers.length, "each token was minted");
    await installed.remove();
    await proxy.stop();
    other.stop();
  });

  test("one is told to stop: nobody notices", LIMIT, async () => {
    const [one, other] = await Promise.all([startReplica({ DRAIN_SECONDS: "3" }), startReplica()]);
    const proxy = await startProxy([one.port, other.port]);
    const direct = traffic(16, (user) => mint(proxy.port, user));
    await direct.reached(100);
    const exit = one.end();
    while ((await one.get("/readyz"))[0] === 200) await setTimeout(5);
    assert.deepEqual(await one.get("/readyz"), [503, "draining"]);
    assert.deepEqual(await one.get("/healthz"), [200, "ok"], "alive while it drains, or it would be killed");
    assert.equal(await exit, 0);
    await direct.reached(direct.answers.length + 100);
    await direct.end();
    for (const { user, status, text, error } of direct.answers) {
      assert.equal(status, 200, `${user}: ${error ?? text}; the proxy saw ${proxy.failures}`);
      assert.equal(JSON.parse(text).token, WHOSE(user));
    }
    assert.deepEqual(proxy.failures, []);
    await proxy.stop();
    other.stop();
  });

  test("each fetches the key set once, however many ask", LIMIT, async () => {
    const replica = await startReplica();
    const keys = "/auth/v1/.well-known/jwks.json";
    const before = upstream.calls[keys] ?? 0;
    const answers = await Promise.all(Array.from({ length: 64 }, (_, n) => mint(replica.port, `crowd-${n}`)));
    assert.ok(answers.every(({ status }) => status === 200));
    assert.equal(upstream.calls[keys] - before, 1);
    assert.equal(value(await replica.metrics(), 'behest_exchanges_total{to="keys",result="200"}'), 1);
    replica.stop();
  });
});

describe("the files of examples/axum/deploy", () => {
  const compose = parse(readFileSync(join(deploy, "compose.yaml"), "utf8"));
  const objects = parseAllDocuments(readFileSync(join(deploy, "kubernetes.yaml"), "utf8")).map((document) => {
    assert.deepEqual(document.errors, []);
    return document.toJS();
  });
  const of = (kind) => objects.find((object) => object.kind === kind);
  const pod = of("Deployment").spec.template;
  const [container] = pod.spec.containers;
  const port = (name) => container.ports.find((port) => port.name === name).containerPort;
  const secrets = {
    BEHEST_KEY: "behest_sk_live_0123456789abcdef",
    SUPABASE_SECRET_KEYS: '{"jobs":"sb_secret_jobs"}',
    STRIPE_WEBHOOK_SECRET: "whsec_test_secret",
  };
  const listed = (text) => Object.fromEntries(text.trim().split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));

  /** Starts the program with exactly these variables, at ports of its own, and asks the probes. */
  async function boots(given, probes) {
    const nothing = Object.fromEntries(Object.keys(process.env).map((name) => [name, undefined]));
    const replica = await startReplica({ ...Object.fromEntries(Object.keys(variables).map((name) => [name, undefined])), ...nothing, ...given, LISTEN: "127.0.0.1:0", METRICS_LISTEN: "127.0.0.1:0" });
    for (const path of probes) assert.equal((await replica.get(path))[0], 200, path);
    assert.match(await replica.metrics(), /^$|behest_/m);
    assert.equal((await replica.get("/metrics", replica.metricsPort))[0], 200);
    replica.stop();
  }

  test("Kubernetes: the program starts with these variables and answers these probes", LIMIT, async () => {
    const settings = of("ConfigMap").data;
    for (const value of Object.values(settings)) assert.equal(typeof value, "string");
    assert.equal(container.envFrom[0].configMapRef.name, of("ConfigMap").metadata.name);
    const referred = Object.fromEntries(
      container.env.map(({ name, value, valueFrom }) => {
        assert.equal(value, undefined, `${name} is a reference`);
        assert.equal(valueFrom.secretKeyRef.key, name);
        return [name, secrets[name]];
      }),
    );
    assert.deepEqual(Object.keys(referred).sort(), Object.keys(secrets).sort());
    assert.ok(!objects.some((object) => object.kind === "Secret"), "secrets stand in no file");
    const probes = [container.readinessProbe, container.livenessProbe].map(({ httpGet }) => {
      assert.equal(httpGet.port, "http");
      return httpGet.path;
    });
    assert.deepEqual(probes, ["/readyz", "/healthz"]);
    assert.equal(settings.LISTEN, `0.0.0.0:${port("http")}`);
    assert.equal(settings.METRICS_LISTEN, `0.0.0.0:${port("metrics")}`);
    assert.equal(pod.metadata.annotations["prometheus.io/port"], String(port("metrics")));
    assert.equal(pod.metadata.annotations["prometheus.io/path"], "/metrics");
    await boots({ ...settings, ...referred }, probes);
  });

  test("Kubernetes: what belongs together fits", () => {
    const labels = pod.metadata.labels;
    for (const selector of [of("Deployment").spec.selector.matchLabels, of("Service").spec.selector, of("PodDisruptionBudget").spec.selector.matchLabels]) {
      assert.deepEqual(selector, labels);
    }
    assert.deepEqual(of("Service").spec.ports.map(({ targetPort }) => targetPort), ["http"], "no way from the world to the metrics");
    assert.equal(of("HorizontalPodAutoscaler").spec.scaleTargetRef.name, of("Deployment").metadata.name);
    assert.equal(of("HorizontalPodAutoscaler").spec.minReplicas, of("Deployment").spec.replicas);
    const { maxUnavailable } = of("Deployment").spec.strategy.rollingUpdate;
    assert.equal(maxUnavailable, 0);
    // 10 s for the last requests; the kubelet asks every two seconds.
    const drain = Number(of("ConfigMap").data.DRAIN_SECONDS);
    assert.ok(pod.spec.terminationGracePeriodSeconds > drain + 10);
    assert.ok(drain > container.readinessProbe.periodSeconds * container.readinessProbe.failureThreshold);
  });

  test("compose: the program starts with these variables, and the proxy asks what it answers", LIMIT, async () => {
    const { token: replica, proxy } = compose.services;
    const example = listed(readFileSync(join(deploy, "token.env.example"), "utf8"));
    const proxied = readFileSync(join(deploy, "haproxy.cfg"), "utf8");
    assert.ok(existsSync(join(deploy, replica.build.context, replica.build.dockerfile)));
    assert.ok(existsSync(join(deploy, proxy.volumes[0].split(":")[0])));
    assert.equal(replica.ports, undefined, "only the proxy is reached from outside");
    const [, check] = /http-check send meth GET uri (\S+)/.exec(proxied);
    assert.equal(/server-template replica \d+ (\S+)/.exec(proxied)[1], `token:${replica.environment.LISTEN.split(":")[1]}`);
    assert.equal(proxy.ports[0].split(":")[1], /bind :(\d+)/.exec(proxied)[1]);
    const [, every, falls] = /inter (\d+)s fall (\d+)/.exec(proxied).map(Number);
    assert.ok(Number(replica.environment.DRAIN_SECONDS) > every * falls);
    assert.ok(Number.parseInt(replica.stop_grace_period, 10) > Number(replica.environment.DRAIN_SECONDS) + 10);
    await boots({ ...example, ...secrets, ...replica.environment }, [check, "/healthz"]);
  });

  test("the image listens where both say, as nobody", () => {
    const image = readFileSync(join(root, "examples/axum/Dockerfile"), "utf8");
    const [, listens] = /LISTEN=0\.0\.0\.0:(\d+)/.exec(image);
    assert.equal(Number(listens), port("http"));
    assert.match(image, new RegExp(`EXPOSE ${listens}$`, "m"));
    assert.match(image, /^FROM \S+:nonroot$/m);
    assert.ok(pod.spec.securityContext.runAsNonRoot);
  });
});
