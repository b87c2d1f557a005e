using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Contract.Bridge;

/// <summary>The broker between clients and a real storage account: registry, change feed, queues in and out, storage down and back.</summary>
public sealed class BrokerBridgeTests
{
    [Fact]
    public async Task A_published_message_is_put_on_the_deliveries_queue_for_its_routes_before_it_is_acknowledged()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        var route = await running.AddRoute(hub, "a/#");
        await running.AddRoute(hub, "b/#");
        await using var client = await running.Connect(device);
        await client.Send(Packet.Publish("a/b", "hello", qos: 1, id: 7));
        Assert.Equal(0x40, (await client.Next())[0]);
        var envelope = Assert.Single(await Waiting<DeliveryEnvelope>(running, StorageNames.DeliveriesQueue));
        Assert.Equal((hub.Id, route), (envelope.HubId, envelope.RouteId));
        var message = Assert.Single(envelope.Messages);
        Assert.Equal(("a/b", "hello"), (message.Topic, Encoding.UTF8.GetString(message.Payload!)));
    }

    [Fact]
    public async Task A_large_payload_goes_by_a_blob()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        await running.AddRoute(hub, "#");
        await using var client = await running.Connect(device);
        await client.Send(Packet.Publish("a", new string('x', 300_000), qos: 1, id: 7));
        Assert.Equal(0x40, (await client.Next())[0]);
        var message = Assert.Single(Assert.Single(await Waiting<DeliveryEnvelope>(running, StorageNames.DeliveriesQueue)).Messages);
        Assert.Equal(300_000, (await running.Payloads.Get(message.PayloadBlob!, 300_000))!.Length);
    }

    [Fact]
    public async Task Connections_and_events_are_recorded_through_the_events_queue()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        var strict = await running.AddDevice(hub, d => d with { AllowInsecure = false });
        await using var refused = await running.Open(strict);
        Assert.Equal(0x87, (await refused.Next())[3]);
        await using (await running.Connect(device))
        {
        }
        var envelopes = await running.Take<EventsEnvelope>(
            StorageNames.EventsQueue,
            all => all.SelectMany(e => e.Activity).Any(a => !a.IsConnected) && all.SelectMany(e => e.Events).Any());
        Assert.All(envelopes, e => Assert.Equal(hub.Id, e.HubId));
        Assert.All(envelopes.SelectMany(e => e.Activity), a => Assert.Equal(device.Id, a.DeviceId));
        var happened = Assert.Single(envelopes.SelectMany(e => e.Events));
        Assert.Equal(("mutual TLS authentication is required", strict.Id.ToString()), (happened.Message, happened.ObjectId));
    }

    [Theory]
    [InlineData(false, "$SCW/events/device/{0}/error")]
    [InlineData(true, "$SCW/events/error/device/{0}")]
    public async Task Hub_events_are_published_on_the_hub(bool severityFirst, string layout)
    {
        await using var running = await RunningBroker.Start(severityFirst: severityFirst);
        var hub = await running.AddHub();
        var listener = await running.AddDevice(hub);
        var strict = await running.AddDevice(hub, d => d with { AllowInsecure = false });
        await using var client = await running.Connect(listener);
        await client.Subscribe("$SCW/events/#", 0);
        await using var refused = await running.Open(strict);
        var happened = await client.NextPublish();
        Assert.Equal(layout.Replace("{0}", strict.Id.ToString(), StringComparison.Ordinal), happened.Topic);
    }

    [Fact]
    public async Task A_message_posted_to_the_broker_reaches_a_subscriber_once_and_its_routes()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        await running.AddRoute(hub, "sensors/#");
        await using var client = await running.Connect(device);
        await client.Subscribe("#", 0);
        using var broker = new BrokerClient(running.InternalAddress, RunningBroker.Key);
        var incoming = new IncomingMessage(hub.Id, Guid.NewGuid(), Message("sensors/ä"));
        Assert.Equal(BrokerAnswer.Accepted, await broker.Publish(incoming));
        Assert.Equal(BrokerAnswer.Accepted, await broker.Publish(incoming));
        Assert.Equal("sensors/ä", (await client.NextPublish()).Topic);
        await client.ExpectNothing();
        var envelope = Assert.Single(await Waiting<DeliveryEnvelope>(running, StorageNames.DeliveriesQueue));
        Assert.Equal(incoming.Message.Id, Assert.Single(envelope.Messages).Id);
    }

    [Fact]
    public async Task What_was_queued_while_the_broker_was_away_is_published_when_it_is_back_and_once()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        await running.StopHost();
        var ingress = new EnvelopeQueue(running.Queue(StorageNames.IngressQueue), running.Payloads);
        var intake = new MessageIntake(new BrokerClient(running.InternalAddress, RunningBroker.Key), ingress);
        var small = new IncomingMessage(hub.Id, Guid.NewGuid(), Message("small"));
        var large = new IncomingMessage(hub.Id, Guid.NewGuid(), Message("large") with { Payload = new byte[200_000] });
        var gone = new IncomingMessage(Guid.NewGuid(), Guid.NewGuid(), Message("gone"));
        foreach (var incoming in new[] { gone, small, small, large })
        {
            Assert.Equal(IntakeOutcome.Queued, await intake.Accept(incoming));
        }
        await running.Queue(StorageNames.IngressQueue).Send("unreadable"u8.ToArray());
        var route = await running.AddRoute(hub, "#");

        await running.StartHost();
        await using var client = await running.Connect(device);
        await client.Subscribe("#", 0);
        var delivered = await running.Take<DeliveryEnvelope>(StorageNames.DeliveriesQueue, all => all.Sum(e => e.Messages.Count) >= 2);
        Assert.All(delivered, envelope => Assert.Equal(route, envelope.RouteId));
        Assert.Equal([small.Message.Id, large.Message.Id], delivered.SelectMany(e => e.Messages).Select(m => m.Id));
        await Eventually.Get(async () => (await running.Queue(IngressReader.PoisonQueue).Receive(1, TimeSpan.FromMinutes(1))).SingleOrDefault());
        Assert.Empty(await running.Queue(StorageNames.IngressQueue).Receive(32, TimeSpan.FromMinutes(1)));
        Assert.Null(await running.Payloads.Get(EnvelopeQueue.IngressPayloadName(hub.Id, large.Message.Id), 200_000));
        Assert.NotNull(await running.Payloads.Get(EnvelopeQueue.PayloadName(hub.Id, large.Message.Id), 200_000));
    }

    [Fact]
    public async Task While_storage_is_down_nothing_owed_is_acknowledged_and_nothing_is_lost()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        await running.AddRoute(hub, "owed/#");
        await using var client = await running.Connect(device);
        await client.Subscribe("owed/#", 0);
        running.CutStorage();
        for (ushort id = 1; id <= 50; id++)
        {
            await client.Send(Packet.Publish($"owed/{id}", "x", qos: 1, id: id));
        }
        for (var id = 1; id <= 50; id++)
        {
            // Subscribers have it at once, the publisher's acknowledgement waits.
            Assert.Equal($"owed/{id}", (await client.NextPublish()).Topic);
        }
        await client.ExpectNothing();
        running.RestoreStorage();
        for (var id = 1; id <= 50; id++)
        {
            Assert.Equal([(byte)(id >> 8), (byte)id], (await client.Next())[2..4]);
        }
        var delivered = await running.Take<DeliveryEnvelope>(StorageNames.DeliveriesQueue, all => all.Sum(e => e.Messages.Count) >= 50);
        Assert.Equal(
            Enumerable.Range(1, 50).Select(id => $"owed/{id}"), delivered.SelectMany(e => e.Messages).DistinctBy(m => m.Id).Select(m => m.Topic));
    }

    [Fact]
    public async Task A_broker_that_starts_while_storage_is_down_puts_clients_off_and_then_serves()
    {
        await using var running = await RunningBroker.Start(storageIsDown: true);
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        using var http = new HttpClient();
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await http.GetAsync(new Uri(running.InternalAddress, "health"))).StatusCode);
        await using (var client = await running.Open(device))
        {
            Assert.Equal(0x88, (await client.Next())[3]);
        }
        running.RestoreStorage();
        await Eventually.True(async () => (await http.GetAsync(new Uri(running.InternalAddress, "health"))).StatusCode == HttpStatusCode.OK);
        await using var served = await running.Connect(device);
    }

    [Fact]
    public async Task A_disabled_device_is_cut_off_and_refused_and_comes_in_again_when_enabled()
    {
        await using var running = await RunningBroker.Start();
        var device = await running.AddDevice(await running.AddHub());
        await using var client = await running.Connect(device);
        await running.Change(device, d => d with { Status = DeviceStatus.Disabled });
        await client.ExpectDisconnect(0x98);
        await using (var refused = await running.Open(device))
        {
            Assert.Equal(0x87, (await refused.Next())[3]);
        }
        await running.Change(device, d => d with { Status = DeviceStatus.Enabled });
        await using var again = await running.Connect(device);
    }

    [Fact]
    public async Task Tightened_security_ends_plain_connections_and_spares_those_with_a_certificate()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        using var certificate = NewCertificate();
        var fingerprint = Convert.ToHexStringLower(certificate.GetCertHash(HashAlgorithmName.SHA256));
        var device = await running.AddDevice(
            hub, d => d with { CertificateFingerprint = fingerprint, CertificatePem = certificate.ExportCertificatePem(), AllowMultipleConnections = true });
        await using var plain = await RawClient.Open(running.Ports.Port);
        await plain.Send(Packet.Connect(new ConnectOptions { ClientId = "plain", UserName = device.Id.ToString() }));
        Assert.Equal(0, (await plain.Next())[3]);
        await using var mutual = await OpenWithCertificate(running.Ports.TlsPort!.Value, certificate);
        await mutual.Send(Packet.Connect(new ConnectOptions { ClientId = "mutual" }));
        Assert.Equal(0, (await mutual.Next())[3]);
        await running.Change(device, d => d with { AllowInsecure = false });
        await plain.ExpectDisconnect(0x87);
        await mutual.ExpectNothing();
    }

    [Fact]
    public async Task Changed_filters_take_effect_on_a_live_subscription()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var (listener, speaker) = (await running.AddDevice(hub), await running.AddDevice(hub));
        await using var listening = await running.Connect(listener);
        await listening.Subscribe("#", 0);
        await using var speaking = await running.Connect(speaker);
        await speaking.Send(Packet.Publish("secret", "1"));
        Assert.Equal("secret", (await listening.NextPublish()).Topic);
        var rule = new MessageFilterRule(MessageFilterPolicy.Reject, ["secret"]);
        await running.Change(listener, d => d with { Filters = d.Filters with { Subscribe = rule } });
        await Eventually.True(async () =>
        {
            await speaking.Send(Packet.Publish("secret", "2"), Packet.Publish("open", "3"));
            return (await listening.NextPublish()).Topic == "open";
        });
    }

    [Fact]
    public async Task A_disabled_hub_drops_its_clients_and_a_deleted_one_everything()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        await using (var client = await running.Connect(device))
        {
            var stored = (await running.Registry.GetHub(hub.Id))!;
            await running.Registry.ReplaceHub(stored with { Value = stored.Value with { Enabled = false, EnabledChangedAt = DateTimeOffset.UtcNow } });
            await client.ExpectDisconnect(0x98);
        }
        await using (var refused = await running.Open(device))
        {
            Assert.Equal(0x88, (await refused.Next())[3]);
        }
        await running.Registry.DeleteDevice(device.Id);
        await running.Registry.DeleteHub(hub.Id);
        using var broker = new BrokerClient(running.InternalAddress, RunningBroker.Key);
        await Eventually.True(async () =>
            await broker.Publish(new IncomingMessage(hub.Id, Guid.NewGuid(), Message("a"))) == BrokerAnswer.UnknownHub);
    }

    [Fact]
    public async Task Stopping_tells_clients_and_hands_over_what_is_owed()
    {
        await using var running = await RunningBroker.Start();
        var hub = await running.AddHub();
        var device = await running.AddDevice(hub);
        await running.AddRoute(hub, "#");
        await using var client = await running.Connect(device);
        await client.Send(Packet.Publish("a", "last", qos: 0));
        await client.ExpectNothing();
        await running.StopHost();
        await client.ExpectDisconnect(0x8B);
        Assert.Equal("a", Assert.Single(Assert.Single(await Waiting<DeliveryEnvelope>(running, StorageNames.DeliveriesQueue)).Messages).Topic);
        var activity = (await Waiting<EventsEnvelope>(running, StorageNames.EventsQueue)).SelectMany(e => e.Activity).ToList();
        Assert.False(activity[^1].IsConnected);
    }

    private static DeviceMessage Message(string topic) =>
        new(Guid.NewGuid(), topic, Encoding.UTF8.GetBytes("payload"), false, DateTimeOffset.UtcNow);

    private static async Task<List<T>> Waiting<T>(RunningBroker running, string queue) => await running.Take<T>(queue, all => all.Count > 0);

    private static X509Certificate2 NewCertificate()
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest("CN=device", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    private static async Task<RawClient> OpenWithCertificate(int port, X509Certificate2 certificate)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(new IPEndPoint(IPAddress.Loopback, port));
#pragma warning disable CA5359 // The certificate was made a moment ago by the other half of the test.
        var tls = new SslStream(new NetworkStream(socket, ownsSocket: true), leaveInnerStreamOpen: false, (_, _, _, _) => true);
#pragma warning restore CA5359
        await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "localhost", ClientCertificates = [certificate] });
        return new RawClient(tls, socket);
    }
}
