using System.Globalization;
using IotHub.Local.Processes;

namespace IotHub.Local.Launch;

/// <summary>The MQTT broker as a child.</summary>
public static class BrokerProgram
{
    private const string ReadyPrefix = "ready {";
    private static readonly TimeSpan ReadyPatience = TimeSpan.FromSeconds(60);

    public static StartCommand Command(
        Checkout checkout, DataFolder data, Ports ports, ServerCertificate certificate, IReadOnlyDictionary<string, string> settings) =>
        new(
            checkout.BrokerProgram,
            [
                "--bind", "127.0.0.1", "--port", Text(ports.Mqtt), "--tls-port", Text(ports.MqttTls), "--ws-port", Text(ports.Ws),
                "--wss-port", Text(ports.Wss), "--internal-port", Text(ports.Internal),
                "--cert", certificate.CertificateFile, "--key", certificate.KeyFile, "--data", data.Broker,
            ],
            settings);

    /// <param name="started">Told of the child as soon as there is one, before it is ready.</param>
    public static async Task Start(
        StartCommand command, DataFolder data, Ports ports, HttpClient http, OrphanGuard guard, Action<Child> started,
        CancellationToken cancel)
    {
        var saidReady = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var child = Child.Start(
            "The broker", command.Program, command.Arguments, data.Broker, command.Environment,
            new CappedLog(Path.Combine(data.Logs, "broker.log")), guard,
            line =>
            {
                if (line.StartsWith(ReadyPrefix, StringComparison.Ordinal))
                {
                    saidReady.TrySetResult();
                }
            });
        started(child);
        await Readiness.Until(child, ReadyPatience, () => Task.FromResult(saidReady.Task.IsCompleted), cancel);
        var health = new Uri($"http://127.0.0.1:{Text(ports.Internal)}/health");
        await Readiness.Until(child, ReadyPatience, () => Readiness.Answers(http, health, anyStatus: false, cancel), cancel);
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
