// A client of MQTT.js that does what it is told on standard input and tells what happens on standard output, both as lines of JSON.
import readline from 'node:readline'
import { mqtt } from '../../harness/node/clients.mjs'

const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n')
let client

const does = {
  connect(login) {
    client = mqtt.connect(login.url, {
      protocolVersion: login.version,
      clientId: login.clientId,
      username: login.userName ?? undefined,
      clean: login.cleanStart,
      will: login.will ? { ...login.will, payload: Buffer.from(login.will.payload) } : undefined,
      properties: login.version === 5 ? { sessionExpiryInterval: login.sessionExpiry } : undefined,
      ca: login.serverCaPem ?? undefined,
      cert: login.certificatePem ?? undefined,
      key: login.keyPem ?? undefined,
      reconnectPeriod: 0,
      connectTimeout: 15000,
      resubscribe: false,
    })
    client.on('connect', (connack) =>
      tell({ is: 'connected', code: connack.reasonCode ?? connack.returnCode ?? 0, sessionPresent: connack.sessionPresent }))
    client.on('error', (error) =>
      tell({ is: typeof error.code === 'number' ? 'connected' : 'error', code: error.code, sessionPresent: false, text: String(error) }))
    client.on('message', (topic, payload, packet) =>
      tell({ is: 'message', topic, payload: payload.toString('base64'), qos: packet.qos, retain: packet.retain }))
    client.on('close', () => tell({ is: 'closed' }))
  },
  async subscribe({ filter, qos }) {
    client.subscribe(filter, { qos }, (error, granted, packet) =>
      tell({ is: 'subscribed', qos: packet?.granted?.[0] ?? granted?.[0]?.qos ?? 128, text: error ? String(error) : undefined }))
  },
  async publish({ topic, payload, qos, retain }) {
    client.publish(topic, payload, { qos, retain }, (error) => tell({ is: 'published', text: error ? String(error) : undefined }))
  },
  disconnect() {
    client.end(false, {}, () => tell({ is: 'disconnected' }))
  },
  drop() {
    client.stream.destroy()
    tell({ is: 'disconnected' })
  },
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const what = JSON.parse(line)
  await does[what.is](what)
}
process.exit(0)
