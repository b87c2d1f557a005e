using IotHub.Broker;
using IotHub.Broker.Auth;
using IotHub.Broker.Bridge;
using IotHub.Broker.Durability;
using IotHub.Broker.Sessions.Stored;

namespace IotHub.Benchmarks.Durability;

/// <summary>What a store that nobody uses costs once it is read: bytes of living objects, and the time, without a process around it.</summary>
internal static class QueuedHeap
{
    /// <returns>Bytes alive beyond those of an empty broker, and seconds of reading.</returns>
    public static (long Bytes, double Seconds) Read(string folder)
    {
        using var store = BrokerStore.OpenExisting(folder);
        var time = TimeProvider.System;
        var broker = new MqttBroker(new BrokerLimits(), new AnonymousAuthenticator(), new NullBridge(), time, store.Shards);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var start = time.GetTimestamp();
        foreach (var lane in broker.Lanes)
        {
            lane.Open(store.FilesOf(lane.Index), new LogOptions(), BootClock.Read);
        }
        var seconds = time.GetElapsedTime(start).TotalSeconds;
        var bytes = GC.GetTotalMemory(forceFullCollection: true) - before;
        foreach (var lane in broker.Lanes)
        {
            lane.CloseLog();
        }
        GC.KeepAlive(broker);
        return (bytes, seconds);
    }
}
