using System.Text;
using IotHub.Broker.Bridge;
using IotHub.Core.Messages;
using IotHub.Core.Queues;
using IotHub.Core.Queues.Memory;
using IotHub.Harness;
using IotHub.Unit.Auth;
using Xunit;

namespace IotHub.Unit.Bridge;

/// <summary>Messages born outside come in once, through a hub that is configured and ready, and leave the ingress queue only then.</summary>
public sealed class InboundBridgeTests
{
    private readonly World _world = new();
    private readonly FailingQueue _ingress;
    private readonly MemoryQueue _poison;
    private readonly MemoryPayloads _payloads = new();
    private readonly InboundBridge _inbound;
    private readonly IngressReader _reader;

    public InboundBridgeTests()
    {
        _ingress = new FailingQueue(_world.Clock);
        _poison = new MemoryQueue(_world.Clock);
        _inbound = new InboundBridge(_world.Directory, _world.Broker, _world.Clock, Logging.None<InboundBridge>());
        _reader = new IngressReader(
            _ingress, _poison, _payloads, _inbound, _world.Clock, _world.Limits, Logging.None<IngressReader>());
    }

    [Fact]
    public async Task The_hub_is_configured_before_its_first_message()
    {
        var hub = await _world.AddHub();
        await _world.AddRoute(hub, Guid.NewGuid(), "#");
        Assert.Equal(InboundOutcome.Accepted, await Accept(hub.Id, Message("a")));
        Assert.Collection(
            _world.Broker.Calls,
            call => Assert.Single(Assert.IsType<RecordingBroker.Configured>(call).Settings.Routes),
            call => Assert.IsType<RecordingBroker.Published>(call));
    }

    [Fact]
    public async Task A_repeat_is_accepted_and_published_once()
    {
        var hub = await _world.AddHub();
        var message = Message("a");
        Assert.Equal(InboundOutcome.Accepted, await Accept(hub.Id, message));
        Assert.Equal(InboundOutcome.Accepted, await Accept(hub.Id, message));
        Assert.Single(_world.Broker.Messages);
    }

    [Fact]
    public async Task A_repeat_waits_until_the_first_is_safe()
    {
        var hub = await _world.AddHub();
        var message = Message("a");
        var release = _world.Broker.HoldPublishes();
        using var impatient = new CancellationTokenSource();
        var first = _inbound.Accept(hub.Id, message, null, impatient.Token);
        await Eventually.True(() => _world.Broker.Messages.Count == 1);
        await impatient.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
        var second = Accept(hub.Id, message);
        Assert.False(second.IsCompleted);
        release();
        Assert.Equal(InboundOutcome.Accepted, await second);
        Assert.Single(_world.Broker.Messages);
    }

    [Fact]
    public async Task Hubs_that_are_unknown_deleted_or_off_take_nothing()
    {
        Assert.Equal(InboundOutcome.UnknownHub, await Accept(Guid.NewGuid(), Message("a")));
        var hub = await _world.AddHub();
        Assert.Equal(InboundOutcome.Accepted, await Accept(hub.Id, Message("a")));
        await _world.Change(hub, h => h with { Enabled = false });
        await _world.Follow();
        Assert.Equal(InboundOutcome.HubNotReady, await Accept(hub.Id, Message("a")));
        await _world.Registry.DeleteHub(hub.Id);
        await _world.Follow();
        Assert.Equal(InboundOutcome.UnknownHub, await Accept(hub.Id, Message("a")));
    }

    [Fact]
    public async Task A_hub_that_was_just_enabled_takes_messages_at_once()
    {
        var hub = await _world.AddHub(h => h with { Enabled = false });
        Assert.Equal(InboundOutcome.HubNotReady, await Accept(hub.Id, Message("a")));
        await _world.Change(hub, h => h with { Enabled = true });
        Assert.Equal(InboundOutcome.Accepted, await Accept(hub.Id, Message("a")));
    }

    [Theory]
    [InlineData("")]
    [InlineData("a/+")]
    [InlineData("#")]
    [InlineData("a\0b")]
    public async Task Topics_that_are_no_names_are_refused(string topic)
    {
        var hub = await _world.AddHub();
        Assert.Equal(InboundOutcome.TopicInvalid, await Accept(hub.Id, Message(topic)));
    }

    [Fact]
    public async Task Without_an_answer_of_the_registry_it_is_not_now()
    {
        var hub = await _world.AddHub();
        _world.Registry.Fails = true;
        Assert.Equal(InboundOutcome.NotNow, await Accept(hub.Id, Message("a")));
        _world.Registry.Fails = false;
        _world.Clock.Advance(TimeSpan.FromSeconds(11));
        Assert.Equal(InboundOutcome.NotNow, await Accept(hub.Id, Message("a")));
        await _world.Follow();
        _world.Broker.Answer = IngestOutcome.BufferFull;
        Assert.Equal(InboundOutcome.NotNow, await Accept(hub.Id, Message("a")));
        _world.Broker.Answer = null;
        Assert.Equal(InboundOutcome.Accepted, await Accept(hub.Id, Message("a")));
    }

    [Fact]
    public async Task What_stands_on_the_ingress_queue_is_published_in_order_and_leaves()
    {
        var hub = await _world.AddHub();
        var source = Guid.NewGuid();
        for (var i = 0; i < 40; i++)
        {
            await Put(hub.Id, source, Message($"t/{i}"));
        }
        await Put(hub.Id, source, Message("large") with { Payload = new byte[200_000] });
        Assert.Equal(1, _payloads.Count);
        while (await _reader.Step(default))
        {
            Assert.InRange(_ingress.Inner.Count, 0, 40);
        }
        Assert.Equal([.. Enumerable.Range(0, 40).Select(i => $"t/{i}"), "large"], _world.Broker.Messages.Select(m => m.Message.Topic));
        Assert.Equal(200_000, _world.Broker.Messages[^1].Message.Payload.Length);
        Assert.All(_world.Broker.Messages, m => Assert.Equal(source, m.ExceptRoute));
        Assert.Equal((0, 0, 0), (_ingress.Inner.Count, _poison.Count, _payloads.Count));
    }

    [Fact]
    public async Task A_message_stays_on_the_queue_until_it_is_published()
    {
        var hub = await _world.AddHub();
        await Put(hub.Id, Guid.NewGuid(), Message("a"));
        await Put(hub.Id, Guid.NewGuid(), Message("b"));
        _world.Broker.Answer = IngestOutcome.BufferFull;
        Assert.False(await _reader.Step(default));
        Assert.Equal(2, _ingress.Inner.Count);
        _world.Broker.Answer = null;
        _world.Clock.Advance(_world.Limits.LongestIngressPause);
        Assert.True(await _reader.Step(default));
        Assert.Equal(["a", "b"], _world.Broker.Messages.Select(m => m.Message.Topic));
        Assert.Equal(0, _ingress.Inner.Count);
    }

    [Fact]
    public async Task A_message_that_was_published_before_leaves_the_queue()
    {
        var hub = await _world.AddHub();
        var message = Message("a");
        await Accept(hub.Id, message);
        await Put(hub.Id, Guid.NewGuid(), message);
        await _reader.Step(default);
        Assert.Single(_world.Broker.Messages);
        Assert.Equal(0, _ingress.Inner.Count);
    }

    [Fact]
    public async Task A_message_of_a_hub_that_is_gone_is_dropped()
    {
        await Put(Guid.NewGuid(), Guid.NewGuid(), Message("a") with { Payload = new byte[100_000] });
        await _reader.Step(default);
        Assert.Equal((0, 0, 0), (_ingress.Inner.Count, _poison.Count, _payloads.Count));
    }

    [Fact]
    public async Task A_message_of_a_hub_that_is_off_waits_and_holds_nobody_up()
    {
        var off = await _world.AddHub(h => h with { Enabled = false });
        var on = await _world.AddHub();
        await Put(off.Id, Guid.NewGuid(), Message("off"));
        await Put(on.Id, Guid.NewGuid(), Message("on"));
        await _reader.Step(default);
        Assert.Equal("on", Assert.Single(_world.Broker.Messages).Message.Topic);
        Assert.Equal(1, _ingress.Inner.Count);
        await _world.Change(off, h => h with { Enabled = true });
        _world.Clock.Advance(_world.Limits.IngressRetryWhenHubIsOff);
        await _world.Follow();
        await _reader.Step(default);
        Assert.Equal(0, _ingress.Inner.Count);
    }

    [Theory]
    [InlineData("{not base64}")]
    [InlineData("bm90IGpzb24=")]
    public async Task A_message_nobody_can_read_goes_to_the_poison_queue(string text)
    {
        _ingress.Inner.AddText(text);
        await _reader.Step(default);
        Assert.Equal(0, _ingress.Inner.Count);
        var poison = Assert.Single(await _poison.Receive(1, TimeSpan.FromHours(1)));
        var expected = text.StartsWith('{') ? text : "not json";
        Assert.Equal(expected, Encoding.UTF8.GetString(poison.Body!.Value.Span));
    }

    [Fact]
    public async Task Envelopes_of_a_newer_writer_without_payload_or_with_a_lost_one_go_to_the_poison_queue()
    {
        var hub = await _world.AddHub();
        var good = Envelope(hub.Id, Guid.NewGuid(), Message("a"));
        await _ingress.Send(EnvelopeJson.Write(good with { Version = 2 }));
        await _ingress.Send(EnvelopeJson.Write(good with { Message = good.Message with { Payload = null } }));
        await _ingress.Send(EnvelopeJson.Write(good with { Message = good.Message with { Payload = null, PayloadBlob = "ingress/gone" } }));
        await _ingress.Send(EnvelopeJson.Write(good with { Message = good.Message with { Topic = "a/#" } }));
        await _reader.Step(default);
        Assert.Equal((0, 4), (_ingress.Inner.Count, _poison.Count));
        Assert.Empty(_world.Broker.Messages);
    }

    [Fact]
    public async Task A_payload_that_others_may_still_need_is_not_deleted()
    {
        var hub = await _world.AddHub();
        await _payloads.Put("other/name", new byte[] { 1 });
        var envelope = Envelope(hub.Id, Guid.NewGuid(), Message("a"));
        await _ingress.Send(EnvelopeJson.Write(envelope with { Message = envelope.Message with { Payload = null, PayloadBlob = "other/name" } }));
        await _reader.Step(default);
        Assert.Single(_world.Broker.Messages);
        Assert.Equal(1, _payloads.Count);
    }

    [Fact]
    public async Task A_queue_that_is_down_is_tried_again()
    {
        var hub = await _world.AddHub();
        await Put(hub.Id, Guid.NewGuid(), Message("a"));
        _ingress.Fails = true;
        using var stop = new CancellationTokenSource();
        var running = _reader.Run(stop.Token);
        for (var i = 0; i < 5; i++)
        {
            await Eventually.True(() => _world.Clock.Timers > 0);
            _world.Clock.Advance(_world.Limits.LongestIngressPause);
        }
        Assert.Empty(_world.Broker.Messages);
        _ingress.Fails = false;
        await Eventually.True(() =>
        {
            _world.Directory.MarkCurrent(_world.Clock.GetTimestamp());
            _world.Clock.Advance(_world.Limits.LongestIngressPause);
            return _world.Broker.Messages.Count == 1;
        });
        await stop.CancelAsync();
        await running;
    }

    private Task<InboundOutcome> Accept(Guid hubId, DeviceMessage message) => _inbound.Accept(hubId, message, null, CancellationToken.None);

    private DeviceMessage Message(string topic) => new(Guid.NewGuid(), topic, Encoding.UTF8.GetBytes("payload"), false, _world.Clock.GetUtcNow());

    private Task Put(Guid hubId, Guid source, DeviceMessage message) =>
        new EnvelopeQueue(_ingress, _payloads).Send(Envelope(hubId, source, message));

    private static IngressEnvelope Envelope(Guid hubId, Guid source, DeviceMessage message) => new()
    {
        HubId = hubId,
        SourceId = source,
        Message = new EnvelopeMessage
        {
            Id = message.Id,
            Topic = message.Topic,
            Payload = message.Payload.ToArray(),
            ReceivedAt = message.ReceivedAt,
        },
    };
}
