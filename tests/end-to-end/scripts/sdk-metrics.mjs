// Metrics through Scaleway's SDK: names, points as dates and numbers, in each of the five scales.
import { api, assert, Errors, refused, unknownId, withHub } from './hub-under-test.mjs'

const hour = 3_600_000
const scales = [[0.9 * hour, 60], [23 * hour, 25], [6.5 * 24 * hour, 29], [29 * 24 * hour, 31], [364 * 24 * hour, 13]]

await withHub({}, async (hub) => {
  const { device } = await api.createDevice({ hubId: hub.id, name: 'measured' })
  for (const [ago, points] of scales) {
    const startDate = new Date(Date.now() - ago)
    for (const [metrics, names] of [
      [(await api.getHubMetrics({ hubId: hub.id, startDate })).metrics, ['messages_count', 'active_devices']],
      [(await api.getDeviceMetrics({ deviceId: device.id, startDate })).metrics, ['messages_count', 'device_activity']],
    ]) {
      assert.deepEqual(metrics.map((series) => series.name), names)
      for (const series of metrics) {
        assert.deepEqual(series.metadata, {})
        assert.equal(series.points.length, points)
        for (const { timestamp, value } of series.points) {
          assert.ok(timestamp instanceof Date && !Number.isNaN(timestamp.getTime()))
          assert.equal(value, 0)
        }
        assert.ok(series.points[0].timestamp <= startDate, `${series.points[0].timestamp} is after ${startDate}`)
      }
    }
  }
  await refused(api.getHubMetrics({ hubId: unknownId }), Errors.ResourceNotFoundError, { resource: 'hub' })
  await refused(api.getDeviceMetrics({ deviceId: unknownId }), Errors.ResourceNotFoundError, { resource: 'device' })
})
console.log(JSON.stringify({ is: 'done' }))
