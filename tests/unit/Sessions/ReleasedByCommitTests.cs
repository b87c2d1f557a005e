using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Sessions;

/// <summary>Who sends what a commit lets go of: for few clients the thread that wrote it, for many the one that reads their answers.</summary>
public class ReleasedByCommitTests
{
    private const int Few = 16;
    private readonly DurableBroker _broker = new();
    private readonly List<Action> _handed = [];
    private bool _hasEnded;

    public ReleasedByCommitTests()
    {
        _broker.Broker.SocketThread = step =>
        {
            if (_hasEnded)
            {
                return false;
            }
            _handed.Add(step);
            return true;
        };
    }

    [Fact]
    public void The_writing_thread_sends_to_a_few_itself()
    {
        var publishers = Publishing(Few);
        _broker.Commit();
        Assert.Empty(_handed);
        Assert.All(publishers, client => Assert.Equal(["PUBACK #7"], client.TakeStory()));
    }

    [Fact]
    public void To_more_the_socket_thread_sends_unless_another_step_ends_before()
    {
        var publishers = Publishing(Few + 1);
        _broker.Commit();
        Assert.All(publishers, client => Assert.Empty(client.TakeStory()));
        var step = Assert.Single(_handed);

        Publish(Few + 1, 1);
        Assert.All(publishers, client => Assert.Equal(["PUBACK #7"], client.TakeStory()));

        step();
        Assert.All(publishers, client => Assert.Empty(client.TakeStory()));
    }

    [Fact]
    public void The_next_commit_begins_and_ends_without_sending_what_was_handed_over()
    {
        var publishers = Publishing(Few + 1);
        Assert.True(_broker.Lane.BeginCommit());
        _broker.Lane.Journal!.Log.WriteCommit();
        _broker.Lane.EndCommit();
        Assert.False(_broker.Lane.BeginCommit());
        Assert.Null(_broker.Lane.TakeDeletable());
        Assert.All(publishers, client => Assert.Empty(client.TakeStory()));
        _handed[0]();
        Assert.All(publishers, client => Assert.Equal(["PUBACK #7"], client.TakeStory()));
    }

    [Fact]
    public void The_writing_thread_sends_to_many_as_well_when_the_socket_thread_has_ended()
    {
        var publishers = Publishing(Few + 1);
        _hasEnded = true;
        _broker.Commit();
        Assert.All(publishers, client => Assert.Equal(["PUBACK #7"], client.TakeStory()));
    }

    /// <summary>So many clients, each with a publish that an offline session has to get, none of it on disk.</summary>
    private MemoryClient[] Publishing(int count)
    {
        var subscriber = _broker.Connect(new ConnectOptions { ClientId = "sub", Properties = Packet.Property(0x11, uint.MaxValue) });
        subscriber.Send(Packet.Subscribe(1, true, 0, ("t", 1)));
        _broker.Run();
        subscriber.Disconnect();
        _broker.Run();
        return Publish(0, count);
    }

    private MemoryClient[] Publish(int from, int count) =>
    [
        .. Enumerable.Range(from, count).Select(i =>
        {
            var client = _broker.Connect(new ConnectOptions { ClientId = $"pub-{i}" });
            Assert.Equal(["CONNACK new"], client.TakeStory());
            client.Send(Packet.Publish("t", "x", 1, 7));
            return client;
        }),
    ];
}
