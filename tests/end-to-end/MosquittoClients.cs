using System.Text.RegularExpressions;
using IotHub.EndToEnd.Support;
using IotHub.Harness;
using Xunit;

namespace IotHub.EndToEnd;

/// <summary>The command line clients of Eclipse Mosquitto, as one types them.</summary>
[Collection(HubCollection.Name)]
public sealed class MosquittoClients(HubFixture fixture)
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(20);

    [MosquittoTheory]
    [InlineData("mqttv311", false)]
    [InlineData("mqttv311", true)]
    [InlineData("mqttv5", false)]
    [InlineData("mqttv5", true)]
    public async Task Mosquitto_sub_prints_what_mosquitto_pub_says(string version, bool encrypted)
    {
        await using var hub = await fixture.Api.NewHub();
        var hearing = await hub.NewDevice();
        var saying = await hub.NewDevice();
        string[] wanted = ["-d", "-t", "+/state/#", "-q", "2", "-C", "3", "-F", "%q %r %t %p"];
        await using var subscriber = Run("stdbuf", ["-oL", "mosquitto_sub", .. Address(hearing, version, encrypted), .. wanted]);
        await Eventually.True(
            () => subscriber.StandardOutput.Contains("Subscribed (mid", StringComparison.Ordinal), Deadline, () => subscriber.Output);

        foreach (var qos in new[] { 0, 1, 2 })
        {
            string[] message = ["-t", $"room/state/{qos}", "-m", $"message {qos}", "-q", $"{qos}", "-r"];
            await using var publisher = Run("mosquitto_pub", [.. Address(saying, version, encrypted), .. message]);
            Assert.True(await publisher.WaitForExit(Deadline) == 0, publisher.Output);
        }

        Assert.True(await subscriber.WaitForExit(Deadline) == 0, subscriber.Output);
        Assert.Equal(
            ["0 0 room/state/0 message 0", "1 0 room/state/1 message 1", "2 0 room/state/2 message 2"],
            subscriber.StandardOutput.Split('\n').Where(line => Regex.IsMatch(line, "^[012] [01] room/state")));
    }

    [MosquittoTheory]
    [InlineData("mqttv311", "not authorised")]
    [InlineData("mqttv5", "Not authorized")]
    public async Task Mosquitto_sub_is_told_that_a_disabled_device_is_not_authorized(string version, string said)
    {
        await using var hub = await fixture.Api.NewHub();
        var device = await hub.NewDevice();
        await hub.DisableDevice(device);

        await using var subscriber = Run("mosquitto_sub", [.. Address(device, version, encrypted: false), "-t", "#"]);

        Assert.NotEqual(0, await subscriber.WaitForExit(Deadline));
        Assert.Contains(said, subscriber.Output, StringComparison.Ordinal);
    }

    private static ChildProcess Run(string program, string[] arguments) => ChildProcess.Start(program, arguments);

    private IEnumerable<string> Address(TestDevice device, string version, bool encrypted)
    {
        var mqtt = fixture.Endpoints.Mqtt;
        IEnumerable<string> tls = encrypted ? ["--cafile", fixture.Endpoints.ServerCa] : [];
        return ["-h", mqtt.Host, "-p", $"{(encrypted ? mqtt.TlsPort : mqtt.Port)}", "-i", $"{device.Id}", "-V", version, .. tls];
    }
}
