// Routes through Scaleway's SDK: one to object storage, one REST, one to a database (whose password is not shown again).
import { api, assert, Errors, refused, unknownId, uuid, withHub } from './hub-under-test.mjs'

await withHub({}, async (hub) => {
  const s3Config = { bucketRegion: 'fr-par', bucketName: 'my-bucket', objectPrefix: 'foo', strategy: 'per_topic' }
  const s3 = await api.createRoute({ hubId: hub.id, name: 'default', topic: '#', s3Config })
  assert.match(s3.id, uuid)
  assert.equal(s3.type, 's3')
  assert.equal(s3.topic, '#')
  assert.deepEqual(s3.s3Config, s3Config)
  assert.equal(s3.dbConfig, undefined)
  assert.equal(s3.restConfig, undefined)
  assert.deepEqual(await api.getRoute({ routeId: s3.id }), s3)

  const restConfig = { verb: 'get', uri: 'http://scaleway.com', headers: { 'X-terraform-test': 'inprogress' } }
  const rest = await api.createRoute({ hubId: hub.id, name: 'default', topic: 'a/+/b', restConfig })
  assert.equal(rest.type, 'rest')
  assert.deepEqual(rest.restConfig, restConfig)
  assert.equal(rest.s3Config, undefined)

  const dbConfig = {
    host: '51.159.113.11', port: 27931, dbname: 'rdb', username: 'root', password: 'hush', query: 'SELECT NOW()', engine: 'unknown',
  }
  const db = await api.createRoute({ hubId: hub.id, name: 'db', topic: '#', dbConfig })
  assert.equal(db.type, 'database')
  assert.deepEqual(db.dbConfig, { ...dbConfig, engine: 'postgresql' })
  assert.equal((await api.getRoute({ routeId: db.id })).dbConfig.password, '')

  const { routes, totalCount } = await api.listRoutes({ hubId: hub.id, orderBy: 'created_at_asc' })
  assert.equal(totalCount, 3)
  assert.deepEqual(routes.map((route) => route.type), ['s3', 'rest', 'database'])

  const changed = await api.updateRoute({ routeId: rest.id, name: 'n', restConfig: { verb: 'unknown', uri: 'http://other.example' } })
  assert.equal(changed.name, 'n')
  assert.equal(changed.topic, 'a/+/b')
  assert.deepEqual(changed.restConfig, { ...restConfig, uri: 'http://other.example' })

  await refused(api.createRoute({ hubId: hub.id, topic: '#' }), Errors.InvalidArgumentsError)
  await refused(api.createRoute({ hubId: hub.id, topic: 'a/#/b', restConfig }), Errors.InvalidArgumentsError)
  const ftp = { ...restConfig, uri: 'ftp://x.example/' }
  await refused(api.createRoute({ hubId: hub.id, topic: '#', restConfig: ftp }), Errors.InvalidArgumentsError)
  await refused(api.createRoute({ hubId: unknownId, topic: '#', restConfig }), Errors.ResourceNotFoundError)

  await api.deleteRoute({ routeId: s3.id })
  await refused(api.getRoute({ routeId: s3.id }), Errors.ResourceNotFoundError, { resource: 'route', resourceId: s3.id })
})
console.log(JSON.stringify({ is: 'done' }))
