using IotHub.Broker.Auth;
using IotHub.Broker.Protocol;
using IotHub.Core.Domain;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Sessions;

/// <summary>What a power cut leaves: everything that was acknowledged, and nothing that was not said. (decision D5)</summary>
public class RestartTests
{
    private static readonly byte[] Forever = Packet.Property(0x11, uint.MaxValue);
    private readonly DurableBroker _broker = new();

    [Fact]
    public void An_acknowledgement_waits_for_the_disk()
    {
        Persistent("sub", "t", 1);
        var publisher = Clean("pub");
        publisher.Send(Packet.Publish("t", "x", 1, 7));
        Assert.Empty(publisher.TakeStory());
        _broker.Run();
        Assert.Equal(["PUBACK #7"], publisher.TakeStory());
    }

    [Fact]
    public void What_nobody_has_to_keep_is_acknowledged_at_once()
    {
        _broker.Run();
        var live = Clean("live");
        live.Send(Packet.Subscribe(1, true, 0, ("t", 1)));
        var publisher = Clean("pub");
        publisher.Send(Packet.Publish("t", "x", 1, 7));
        Assert.Equal(["PUBACK #7"], publisher.TakeStory());
        Assert.False(_broker.Lane.IsUncommitted);
    }

    [Fact]
    public void Offline_messages_come_in_order_after_a_crash()
    {
        Persistent("sub", "t/#", 2).Disconnect();
        Publish("t/1", "a", 1);
        Publish("t/2", "b", 2);
        Publish("t/1", "c", 1);
        _broker.Crash();
        var back = Return("sub");
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t/1=a", "PUBLISH 2 #2 t/2=b", "PUBLISH 1 #3 t/1=c"], Heard(back));
    }

    [Fact]
    public void A_crash_before_the_commit_leaves_nothing_that_was_said()
    {
        Persistent("sub", "t", 1).Disconnect();
        _broker.Run();
        var publisher = Clean("pub");
        publisher.Send(Packet.Publish("t", "never acknowledged", 1, 1));
        Assert.Empty(publisher.TakeStory());
        _broker.Crash();
        Assert.Equal(["CONNACK present"], Heard(Return("sub")));
    }

    [Fact]
    public void What_was_sent_and_not_acknowledged_comes_again_with_dup_and_its_packet_id()
    {
        var subscriber = Persistent("sub", "t", 2);
        Publish("t", "one", 1);
        Publish("t", "two", 2);
        Publish("t", "three", 2);
        Assert.Equal(["PUBLISH 1 #1 t=one", "PUBLISH 2 #2 t=two", "PUBLISH 2 #3 t=three"], Heard(subscriber));
        subscriber.Send(Packet.Ack(5, 3));
        Assert.Equal(["PUBREL #3"], Heard(subscriber));
        _broker.Crash();
        var back = Return("sub");
        Assert.Equal(["CONNACK present", "PUBLISH 1 dup #1 t=one", "PUBLISH 2 dup #2 t=two", "PUBREL #3"], Heard(back));
        back.Send(Packet.Ack(4, 1));
        back.Send(Packet.Ack(5, 2));
        back.Send(Packet.Ack(7, 3));
        Assert.Equal(["PUBREL #2"], Heard(back));
        back.Send(Packet.Ack(7, 2));
        _broker.Run();
        _broker.Crash();
        Assert.Equal(["CONNACK present"], Heard(Return("sub")));
    }

    [Fact]
    public void A_pubrel_waits_until_the_pubrec_is_on_disk()
    {
        var subscriber = Persistent("sub", "t", 2);
        Publish("t", "x", 2);
        Heard(subscriber);
        subscriber.Send(Packet.Ack(5, 1));
        Assert.Empty(subscriber.TakeStory());
        _broker.Run();
        Assert.Equal(["PUBREL #1"], subscriber.TakeStory());
    }

    [Fact]
    public void A_qos_2_publish_repeated_after_a_crash_is_not_delivered_twice()
    {
        var publisher = Return("pub", expect: "new");
        Persistent("sub", "t", 2).Disconnect();
        publisher.Send(Packet.Publish("t", "once", 2, 5));
        publisher.Send(Packet.Publish("nobody", "wants it", 2, 6));
        Assert.Equal(["PUBREC #5", "PUBREC #6 10"], Heard(publisher));
        _broker.Crash();
        publisher = Return("pub");
        publisher.Send(Packet.Publish("t", "once", 2, 5, dup: true));
        publisher.Send(Packet.Ack(6, 5));
        publisher.Send(Packet.Publish("t", "another", 2, 5));
        Assert.Equal(["CONNACK present", "PUBREC #5", "PUBCOMP #5", "PUBREC #5"], Heard(publisher));
        Assert.Equal(["CONNACK present", "PUBLISH 2 #1 t=once", "PUBLISH 2 #2 t=another"], Heard(Return("sub")));
    }

    [Fact]
    public void A_client_that_comes_while_the_disk_cannot_be_read_is_sent_away_and_loses_nothing()
    {
        Persistent("sub", "t", 1).Disconnect();
        Publish("t", "a", 1);
        Publish("t", "b", 1);
        _broker.Disk.FailingReads = true;
        Assert.Equal(["CONNACK present", "DISCONNECT 88"], Heard(Return("sub")));
        _broker.Disk.FailingReads = false;
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t=a", "PUBLISH 1 #2 t=b"], Heard(Return("sub")));
    }

    [Fact]
    public void A_start_that_cannot_read_everything_fails_and_forgets_nothing()
    {
        // A retained message that could not be read in that moment was left out, and at the next cleaning gone.
        Publish("kept", "r", 1, retain: true);
        Persistent("sub", "t", 1).Disconnect();
        Publish("t", "a", 1);
        var failed = 0;
        for (var n = 1; ; n++)
        {
            _broker.Disk.FailRead(n);
            var isFailed = Record.Exception(_broker.Crash);
            if (isFailed is null)
            {
                _broker.Disk.FailRead(0);
                var reader = Clean("reader");
                reader.Send(Packet.Subscribe(1, true, 0, ("kept", 0)));
                Assert.Equal(["SUBACK #1 00", "PUBLISH 0 retain kept=r"], Heard(reader));
                Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t=a"], Heard(Return("sub")));
                break;
            }
            Assert.IsAssignableFrom<IOException>(isFailed);
            failed++;
        }
        Assert.True(failed >= 3, $"only {failed} reads at a start");
    }

    [Fact]
    public void Subscriptions_come_back_with_their_options()
    {
        var subscriber = Persistent("sub", "gone", 1);
        subscriber.Send(Packet.Subscribe(2, true, 9, ("own/+", 2 | 4 | 8)));
        subscriber.Send(Packet.Unsubscribe(3, true, "gone"));
        _broker.Run();
        _broker.Crash();
        var back = Return("sub");
        Heard(back);
        back.Send(Packet.Publish("own/a", "No Local keeps it away", 0));
        Publish("own/b", "as published", 1, retain: true);
        Publish("gone", "x", 1);
        Assert.Equal(["PUBLISH 1 retain #1 own/b=as published"], Heard(back));
    }

    [Fact]
    public void Whose_a_retained_message_is_comes_back_too()
    {
        var client = Clean("pub");
        client.Send(Packet.Publish("kept", "own", 1, 1, retain: true));
        _broker.Run();
        _broker.Crash();
        var back = Clean("pub");
        back.Send(Packet.Subscribe(1, true, 0, ("#", 1 | 4)));
        Assert.Equal(["SUBACK #1 01"], Heard(back));
        var other = Clean("other");
        other.Send(Packet.Subscribe(1, true, 0, ("#", 1 | 4)));
        Assert.Equal(["SUBACK #1 01", "PUBLISH 1 retain #1 kept=own"], Heard(other));
    }

    [Fact]
    public void A_clean_session_is_gone_and_one_started_anew_does_not_come_back()
    {
        var clean = Clean("clean");
        clean.Send(Packet.Subscribe(1, true, 0, ("t", 1)));
        Persistent("sub", "t", 1).Disconnect();
        Publish("t", "before", 1);
        var anew = Return("sub", clean: true, expect: "new");
        _broker.Run();
        _broker.Crash();
        Assert.Single(_broker.Hub.Sessions);
        Assert.Equal(["CONNACK present"], Heard(Return("sub")));
        Assert.False(anew.IsFinished);
    }

    [Fact]
    public void Retained_messages_come_back_and_those_cleared_do_not()
    {
        Publish("kept", "old", 1, retain: true);
        Publish("kept", "new", 0, retain: true);
        Publish("cleared", "x", 1, retain: true);
        Publish("cleared", "", 1, retain: true);
        _broker.Crash();
        var reader = Clean("reader");
        reader.Send(Packet.Subscribe(1, true, 0, ("#", 0)));
        Assert.Equal(["SUBACK #1 00", "PUBLISH 0 retain kept=new"], reader.TakeStory());
    }

    [Fact]
    public void A_topic_cleared_twice_is_acknowledged_when_the_first_clearing_is_on_disk()
    {
        // Seed 72964 of the simulator: the second had nothing to record and was acknowledged at once; after a crash the message was back.
        Publish("kept", "x", 1, retain: true);
        var (one, two) = (Clean("one"), Clean("two"));
        one.Send(Packet.Publish("kept", "", 1, 1, retain: true));
        two.Send(Packet.Publish("kept", "", 2, 1, retain: true));
        Assert.Empty(two.TakeStory());
        Assert.Equal(["PUBREC #1 10"], Heard(two));
        _broker.Crash();
        Assert.Equal(0, _broker.Hub.Retained.Count);
    }

    [Fact]
    public void That_a_session_is_gone_is_told_when_its_end_is_on_disk()
    {
        // Seed 103845 of the simulator: the second had nothing to record and was told so at once; after a crash the session was back.
        Persistent("same", "t", 1).Disconnect();
        _broker.Run();
        var one = _broker.Connect(new ConnectOptions { ClientId = "same" });
        Assert.Empty(one.TakeStory());
        var two = _broker.Connect(new ConnectOptions { ClientId = "same" });
        Assert.Empty(two.TakeStory());
        Assert.Equal(["CONNACK new"], Heard(two));
        _broker.Crash();
        Assert.Equal(["CONNACK new"], Heard(Return("same")));
    }

    [Fact]
    public void What_moves_to_another_member_is_sent_when_it_is_on_disk_that_the_first_has_it_no_longer()
    {
        // Seed 591548 of the simulator: after a crash both members had the QoS 2 message.
        Persistent("member", "$share/g/t", 2).Disconnect();
        Publish("t", "x", 2);
        var other = Clean("other");
        other.Send(Packet.Subscribe(1, true, 0, ("$share/g/t", 2)));
        _broker.Connect(new ConnectOptions { ClientId = "member" });
        Assert.DoesNotContain("PUBLISH 2 #1 t=x", other.TakeStory());
        _broker.Run();
        Assert.Contains("PUBLISH 2 #1 t=x", other.TakeStory());
        _broker.Crash();
        Assert.Equal(["CONNACK new"], Heard(Return("member")));
    }

    [Fact]
    public void An_expired_retained_message_that_was_forgotten_is_forgotten_on_disk_as_well()
    {
        var publisher = Clean("pub");
        publisher.Send(Packet.Publish("kept", "short", 1, 1, retain: true, properties: Packet.Property(0x02, 60u)));
        _broker.Run();
        _broker.Time.Advance(TimeSpan.FromSeconds(61));
        var reader = Clean("reader");
        reader.Send(Packet.Subscribe(1, true, 0, ("kept", 0)));
        Assert.Equal(["SUBACK #1 00"], Heard(reader));
        _broker.Crash();
        Assert.Equal(0, _broker.Hub.Retained.Count);
    }

    [Fact]
    public void What_is_left_of_an_expiry_counts_on_and_a_clock_set_a_year_ahead_does_not()
    {
        Persistent("sub", "t", 1, expirySeconds: 3600).Disconnect();
        var publisher = Clean("pub");
        publisher.Send(Packet.Publish("t", "short", 1, 1, properties: Packet.Property(0x02, 60u)));
        publisher.Send(Packet.Publish("t", "long", 1, 2, properties: Packet.Property(0x02, 864_000u)));
        publisher.Send(Packet.Publish("kept", "long", 1, 3, retain: true, properties: Packet.Property(0x02, 864_000u)));
        _broker.Run();
        _broker.Time.Advance(TimeSpan.FromSeconds(61));
        _broker.Crash();
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t=long"], Heard(Return("sub")));
        // The machine was off, and its clock says: for a year. Seven days are believed.
        _broker.Reboot();
        _broker.Time.Advance(TimeSpan.FromDays(365));
        _broker.Crash();
        var reader = Clean("reader");
        reader.Send(Packet.Subscribe(1, true, 0, ("kept", 0)));
        Assert.Equal(["SUBACK #1 00", "PUBLISH 0 retain kept=long"], reader.TakeStory());
    }

    [Fact]
    public void The_will_of_a_client_that_the_crash_cut_off_is_published_when_its_delay_is_over()
    {
        Persistent("sub", "wills", 1).Disconnect();
        _broker.Connect(new ConnectOptions
        {
            ClientId = "dying",
            Properties = Forever,
            Will = new WillOptions("wills", "gone", 1) { Properties = Packet.Property(0x18, 30u) },
        });
        _broker.Run();
        _broker.Crash();
        var back = Return("sub");
        Assert.Equal(["CONNACK present"], Heard(back));
        _broker.Time.Advance(TimeSpan.FromSeconds(31));
        _broker.Broker.Tick();
        Assert.Equal(["PUBLISH 1 #1 wills=gone"], Heard(back));
        _broker.Crash();
        _broker.Time.Advance(TimeSpan.FromSeconds(60));
        _broker.Broker.Tick();
        Assert.Equal(["CONNACK present", "PUBLISH 1 dup #1 wills=gone"], Heard(Return("sub")));
    }

    [Fact]
    public void The_will_of_a_device_that_was_deleted_meanwhile_is_not_published()
    {
        Persistent("sub", "wills", 1).Disconnect();
        _broker.Connect(new ConnectOptions { ClientId = "dying", Properties = Forever, Will = new WillOptions("wills", "gone", 1) });
        _broker.Run();
        _broker.ChecksRestored = true;
        _broker.Crash();
        _broker.Broker.Tick();
        Assert.Equal([AnonymousAuthenticator.DeviceId], _broker.Broker.Restored()[AnonymousAuthenticator.HubId]);
        Assert.Equal(["CONNACK present"], Heard(Return("sub")));
        _broker.Broker.DisconnectDevice(
            AnonymousAuthenticator.HubId, AnonymousAuthenticator.DeviceId, ReasonCode.AdministrativeAction, null, dropSessions: true);
        _broker.Run();
        _broker.Crash();
        Assert.Empty(_broker.Hub.Sessions);
    }

    [Fact]
    public void The_will_of_a_device_that_is_still_there_is_published_once_that_is_known()
    {
        Persistent("sub", "wills", 1).Disconnect();
        _broker.Connect(new ConnectOptions { ClientId = "dying", Properties = Forever, Will = new WillOptions("wills", "gone", 1) });
        _broker.Run();
        _broker.ChecksRestored = true;
        _broker.Crash();
        _broker.Broker.RightsChanged(AnonymousAuthenticator.HubId, AnonymousAuthenticator.DeviceId, Rights.All);
        _broker.Broker.Tick();
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 wills=gone"], Heard(Return("sub")));
    }

    [Fact]
    public void A_will_from_the_log_goes_by_the_rights_of_today_when_its_client_starts_anew()
    {
        var rights = new ChangingRights();
        var broker = new DurableBroker(authenticator: rights);
        var hearing = broker.Connect(new ConnectOptions { ClientId = "hearing" });
        hearing.Send(Packet.Subscribe(1, true, 0, ("wills", 0)));
        broker.Connect(new ConnectOptions
        {
            ClientId = "dying",
            Properties = Forever,
            Will = new WillOptions("wills", "no longer mine to say") { Properties = Packet.Property(0x18, 30u) },
        });
        broker.Run();
        broker.Crash();
        rights.Now = new Rights(
            MessageFilters.AllowAll with { Publish = new MessageFilterRule(MessageFilterPolicy.Reject, ["wills"]) }, PlanRules.None, true);
        hearing = broker.Connect(new ConnectOptions { ClientId = "hearing" });
        hearing.Send(Packet.Subscribe(1, true, 0, ("wills", 0)));
        broker.Connect(new ConnectOptions { ClientId = "dying" });
        broker.Run();
        Assert.Equal(["CONNACK new", "SUBACK #1 00"], hearing.TakeStory());
    }

    [Fact]
    public void A_disk_that_fails_refuses_what_must_be_kept_and_resumes()
    {
        Persistent("sub", "t", 1).Disconnect();
        _broker.Run();
        var publisher = Clean("pub");
        _broker.Disk.Failing = true;
        publisher.Send(Packet.Publish("t", "waits", 1, 1));
        Assert.False(_broker.Run());
        Assert.Empty(publisher.TakeStory());
        var other = Clean("other");
        other.Send(Packet.Publish("t", "refused", 1, 2));
        other.Send(Packet.Publish("kept", "refused", 1, 3, retain: true));
        Assert.Equal(["PUBACK #2 97", "PUBACK #3 97"], other.TakeStory());
        Assert.Equal(["CONNACK new 89"], _broker.Connect(new ConnectOptions { ClientId = "late", Properties = Forever }).TakeStory());
        _broker.Disk.Failing = false;
        Assert.True(_broker.Run());
        Assert.Equal(["PUBACK #1"], publisher.TakeStory());
        _broker.Crash();
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t=waits"], Heard(Return("sub")));
    }

    [Fact]
    public void What_a_client_says_while_a_commit_is_written_does_not_wait_for_another()
    {
        Persistent("sub", "t", 1).Disconnect();
        _broker.Run();
        var publisher = Clean("pub");
        publisher.Send(Packet.Publish("t", "x", 1, 1));
        Assert.True(_broker.Lane.BeginCommit());
        publisher.Send(new byte[] { 0xC0, 0 });
        _broker.Lane.Journal!.Log.WriteCommit();
        Assert.Empty(publisher.TakeStory());
        _broker.Lane.EndCommit();
        Assert.Equal(["PUBACK #1", "PINGRESP"], publisher.TakeStory());
    }

    [Fact]
    public void An_acknowledgement_of_a_subscriber_waits_for_the_next_commit_and_a_tick_at_the_latest()
    {
        var subscriber = Persistent("sub", "t", 1);
        Publish("t", "x", 1);
        Heard(subscriber);
        subscriber.Send(Packet.Ack(4, 1));
        Assert.True(_broker.Lane.IsUncommitted);
        Assert.False(_broker.Lane.BeginCommit(onlyIfWanted: true));
        // Nobody waits for that; for what comes behind it somebody does.
        subscriber.Send(Packet.Unsubscribe(2, true, "other"));
        Assert.Equal(["UNSUBACK #2 11"], subscriber.TakeStory());
        _broker.Broker.Tick();
        Assert.True(_broker.Lane.BeginCommit(onlyIfWanted: true));
        _broker.Lane.Journal!.Log.WriteCommit();
        _broker.Lane.EndCommit();
        _broker.Crash();
        Assert.Equal(["CONNACK present"], Heard(Return("sub")));
    }

    [Fact]
    public void A_message_given_to_an_absent_member_of_a_group_survives()
    {
        Persistent("member", "$share/g/t", 1).Disconnect();
        Publish("t", "x", 1);
        _broker.Crash();
        Assert.Equal(["CONNACK present", "PUBLISH 1 #1 t=x"], Heard(Return("member")));
    }

    private sealed class ChangingRights : IAuthenticator
    {
        public Rights Now { get; set; } = Rights.All;

        public ValueTask<ConnectVerdict> Authenticate(ConnectAttempt attempt, CancellationToken cancel) => ValueTask.FromResult<ConnectVerdict>(
            new ConnectVerdict.Accepted(AnonymousAuthenticator.HubId, AnonymousAuthenticator.DeviceId, attempt.ClientId, Now));
    }

    private MemoryClient Persistent(string clientId, string filter, byte qos, uint expirySeconds = uint.MaxValue)
    {
        var client = _broker.Connect(new ConnectOptions { ClientId = clientId, Properties = Packet.Property(0x11, expirySeconds) });
        client.Send(Packet.Subscribe(1, true, 0, (filter, qos)));
        _broker.Run();
        Assert.Equal(["CONNACK new", $"SUBACK #1 0{qos}"], client.TakeStory());
        return client;
    }

    private MemoryClient Return(string clientId, bool clean = false, string? expect = null)
    {
        var client = _broker.Connect(new ConnectOptions { ClientId = clientId, CleanStart = clean, Properties = Forever });
        if (expect is not null)
        {
            Assert.Equal([$"CONNACK {expect}"], Heard(client));
        }
        return client;
    }

    private MemoryClient Clean(string clientId)
    {
        var client = _broker.Connect(new ConnectOptions { ClientId = clientId });
        Assert.Equal(["CONNACK new"], client.TakeStory());
        return client;
    }

    /// <summary>Everything that comes once all is on disk.</summary>
    private string[] Heard(MemoryClient client)
    {
        _broker.Run();
        return client.TakeStory();
    }

    private void Publish(string topic, string payload, byte qos, bool retain = false)
    {
        var publisher = Clean("publisher");
        publisher.Send(Packet.Publish(topic, payload, qos, 1, retain));
        var answer = Heard(publisher);
        Assert.True(qos == 0 || answer is [var ack] && ack.StartsWith(qos == 1 ? "PUBACK #1" : "PUBREC #1", StringComparison.Ordinal));
        publisher.Disconnect();
    }
}
