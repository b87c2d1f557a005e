using System.Runtime.InteropServices;

namespace IotHub.Broker.Sessions;

/// <content>
/// How many packets each device sent and received. Connections count for themselves, which costs an addition per packet; the figures come
/// together only when they are collected, or when a connection ends.
/// </content>
public sealed partial class Hub
{
    private Dictionary<Guid, long> _counted = [];

    /// <summary>A connection of the device ends, or is asked in passing.</summary>
    private void Count(Guid deviceId, Connection connection) =>
        CollectionsMarshal.GetValueRefOrAddDefault(_counted, deviceId, out _) += connection.TakePacketCount();

    /// <summary>
    /// Packets per device since the last call; a device that was connected in between is among them even when it was silent. Null for none.
    /// </summary>
    public Dictionary<Guid, long>? TakeCounts()
    {
        foreach (var session in Sessions.Values)
        {
            if (session.Connection is { } connection)
            {
                Count(session.Key.DeviceId, connection);
            }
        }
        if (_counted.Count == 0)
        {
            return null;
        }
        var taken = _counted;
        _counted = [];
        return taken;
    }
}
