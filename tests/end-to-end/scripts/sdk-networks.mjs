// Networks through Scaleway's SDK: a REST and a Sigfox one; the secret comes once and tells which network it is for.
import { api, assert, Errors, hubUnderTest, refused, unknownId, uuid, withHub } from './hub-under-test.mjs'

await withHub({}, async (hub) => {
  for (const type of ['rest', 'sigfox']) {
    const { network, secret } = await api.createNetwork({ hubId: hub.id, name: `my-${type}`, type, topicPrefix: 'myapp' })
    assert.match(network.id, uuid)
    assert.equal(network.type, type)
    assert.equal(network.name, `my-${type}`)
    assert.equal(network.hubId, hub.id)
    assert.equal(network.topicPrefix, 'myapp')
    assert.equal(network.region, hubUnderTest.region)
    assert.ok(network.endpoint.length > 0 && !network.endpoint.includes('://'), `a bare host: ${network.endpoint}`)
    assert.equal(`http://${network.endpoint}`, type === 'rest' ? hubUnderTest.restUrl : hubUnderTest.sigfoxUrl)

    assert.equal(secret.length, 128)
    const parts = JSON.parse(Buffer.from(secret, 'base64').toString())
    assert.deepEqual(Object.keys(parts), ['NetID', 'NetKey'])
    assert.equal(parts.NetID, network.id)
    assert.match(parts.NetKey, uuid)

    const read = await api.getNetwork({ networkId: network.id })
    assert.deepEqual(read, network)
    assert.equal(JSON.stringify(read).includes(parts.NetKey), false)
  }
  const { networks, totalCount } = await api.listNetworks({ hubId: hub.id, orderBy: 'type_asc' })
  assert.equal(totalCount, 2)
  assert.deepEqual(new Set(networks.map((network) => network.type)), new Set(['rest', 'sigfox']))
  assert.equal((await api.listNetworks({ hubId: hub.id, topicPrefix: 'somewhere-else' })).totalCount, 0)

  await api.deleteNetwork({ networkId: networks[0].id })
  await refused(api.getNetwork({ networkId: networks[0].id }), Errors.ResourceNotFoundError,
    { resource: 'network', resourceId: networks[0].id })
  await refused(api.createNetwork({ hubId: unknownId, type: 'rest', topicPrefix: '' }), Errors.ResourceNotFoundError)
  await refused(api.createNetwork({ hubId: hub.id, type: 'unknown', topicPrefix: '' }), Errors.InvalidArgumentsError)
})
console.log(JSON.stringify({ is: 'done' }))
