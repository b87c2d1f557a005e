using System.Globalization;
using System.Reflection;
using System.Text;

namespace IotHub.Broker.Telemetry;

/// <summary>Publishes figures of the broker under <c>$SYS/broker/</c>, retained, with the names that Mosquitto gave them.</summary>
public sealed class SysTopics(MqttBroker broker, Guid hubId, TimeProvider time)
{
    private readonly long _start = time.GetTimestamp();

    /// <summary>Publishes now and then every <paramref name="interval"/>, until cancelled.</summary>
    public async Task Run(TimeSpan interval, CancellationToken cancel)
    {
        broker.OwnsSys = true;
        using var timer = new PeriodicTimer(interval, time);
        try
        {
            do
            {
                PublishAll();
            }
            while (await timer.WaitForNextTickAsync(cancel).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            // Stopping.
        }
    }

    private void PublishAll()
    {
        var (sessions, subscriptions, retained) = broker.Figures(hubId);
        var counters = broker.Lanes.Select(l => l.Counters).ToList();
        Publish("version", $"IotHub.Broker {Assembly.GetExecutingAssembly().GetName().Version}");
        Publish("uptime", $"{(long)time.GetElapsedTime(_start).TotalSeconds} seconds");
        Publish("clients/connected", Text(broker.Connections));
        Publish("clients/total", Text(sessions));
        Publish("messages/received", Text(counters.Sum(c => c.PacketsReceived)));
        Publish("publish/messages/received", Text(counters.Sum(c => c.Published)));
        Publish("publish/messages/sent", Text(counters.Sum(c => c.Sent)));
        Publish("publish/messages/dropped", Text(counters.Sum(c => c.DroppedQueueFull + c.DroppedSlowReceiver)));
        Publish("subscriptions/count", Text(subscriptions));
        Publish("retained messages/count", Text(retained));
    }

    private void Publish(string name, string value) => broker.PublishText(hubId, $"$SYS/broker/{name}", Encoding.UTF8.GetBytes(value), retain: true);

    private static string Text(long number) => number.ToString(CultureInfo.InvariantCulture);
}
