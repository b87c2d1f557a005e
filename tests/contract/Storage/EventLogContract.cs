using IotHub.Core.Messages;
using IotHub.Core.Storage;
using IotHub.Core.Storage.Memory;
using IotHub.Core.Storage.Tables;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every driver of the event log and of the failure episodes does.</summary>
public abstract class EventLogContract
{
    private static readonly DateTimeOffset Start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly TimeSpan Quiet = TimeSpan.FromMinutes(10);

    protected abstract Task<(IEventLog Events, IFailureEpisodes Episodes)> NewStores();

    private static HubEvent Event(int minute, string text) => new()
    {
        Time = Start.AddMinutes(minute),
        Severity = "error",
        ObjectType = "device",
        ObjectId = "unknown",
        Message = text,
        Packet = "CONNECT: dup: false qos: 0 retain: false rLength: 12",
    };

    [Fact]
    public async Task The_newest_events_of_a_hub_come_first()
    {
        var (events, _) = await NewStores();
        var (hub, other) = (Guid.NewGuid(), Guid.NewGuid());
        foreach (var minute in new[] { 2, 0, 3, 1 })
        {
            await events.Append(hub, [new LoggedEvent($"{minute}", Event(minute, $"{minute}"))]);
        }
        await events.Append(other, [new LoggedEvent("x", Event(9, "another hub's"))]);
        Assert.Equal(["3", "2", "1"], (await events.Newest(hub, 3)).Events.Select(happened => happened.Message));
        Assert.Equal(Event(3, "3"), (await events.Newest(hub, 1)).Events[0]);
        Assert.Empty((await events.Newest(Guid.NewGuid(), 10)).Events);
    }

    [Fact]
    public async Task The_same_event_twice_is_there_once()
    {
        var (events, _) = await NewStores();
        var hub = Guid.NewGuid();
        await events.Append(hub, [new LoggedEvent("id", Event(0, "once"))]);
        await events.Append(hub, [new LoggedEvent("id", Event(0, "once"))]);
        await events.Append(hub, [new LoggedEvent("other id", Event(0, "at the same time"))]);
        Assert.Equal(2, (await events.Newest(hub, 10)).Events.Count);
    }

    [Fact]
    public async Task Trimming_drops_what_is_older_and_nothing_else()
    {
        var (events, _) = await NewStores();
        var hubs = new[] { Guid.NewGuid(), Guid.NewGuid() };
        foreach (var hub in hubs)
        {
            await events.Append(hub, [new LoggedEvent("a", Event(0, "old"))]);
            await events.Append(hub, [new LoggedEvent("a", Event(5, "kept"))]);
        }
        await events.Trim(Start.AddMinutes(5));
        foreach (var hub in hubs)
        {
            Assert.Equal(["kept"], (await events.Newest(hub, 10)).Events.Select(happened => happened.Message));
        }
    }

    [Fact]
    public async Task Whole_days_that_are_too_old_go_and_a_day_that_is_partly_old_loses_that_part()
    {
        var (events, _) = await NewStores();
        var hub = Guid.NewGuid();
        foreach (var minute in new[] { -3 * 1440, -2 * 1440, -1440, -1, 0 })
        {
            await events.Append(hub, [new LoggedEvent("a", Event(minute, $"{minute}"))]);
        }
        await events.Trim(Start.AddMinutes(-1440));
        Assert.Equal(["0", "-1", "-1440"], (await events.Newest(hub, 10)).Events.Select(happened => happened.Message));
        await events.Trim(Start.AddMinutes(-1));
        await events.Trim(Start.AddMinutes(-1));
        Assert.Equal(["0", "-1"], (await events.Newest(hub, 10)).Events.Select(happened => happened.Message));
        await events.Trim(Start.AddDays(2));
        Assert.Empty((await events.Newest(hub, 10)).Events);
    }

    [Fact]
    public async Task Pages_follow_each_other_across_days_without_gaps_or_doubles()
    {
        var (events, _) = await NewStores();
        var hub = Guid.NewGuid();
        var happened = Enumerable.Range(0, 25).Select(i => new LoggedEvent($"{i:D2}", Event(-i * 200, $"{i}"))).ToList();
        await events.Append(hub, happened);
        await events.Append(Guid.NewGuid(), happened);
        var read = new List<string>();
        string? next = null;
        do
        {
            var page = await events.Newest(hub, 4, next);
            Assert.InRange(page.Events.Count, 1, 4);
            read.AddRange(page.Events.Select(one => one.Message));
            // What comes in meanwhile is newer and moves no page.
            await events.Append(hub, [new LoggedEvent($"new {read.Count}", Event(read.Count, "new"))]);
            next = page.Next;
        }
        while (next is not null);
        Assert.Equal(Enumerable.Range(0, 25).Select(i => $"{i}"), read);
        foreach (var wrong in new[] { "", "x", "0000000000000000000", new string('9', 30), "' or RowKey gt '-aaaaaaa" })
        {
            await Assert.ThrowsAsync<FormatException>(() => events.Newest(hub, 4, wrong));
        }
        await events.DeleteHub(hub);
        Assert.Empty((await events.Newest(hub, 10)).Events);
    }

    [Fact]
    public async Task An_episode_begins_once_and_again_after_its_end_or_after_quiet()
    {
        var (_, episodes) = await NewStores();
        var (hub, route) = (Guid.NewGuid(), Guid.NewGuid());
        Assert.True(await episodes.Failed(hub, route, Start, Quiet));
        Assert.True(await episodes.Failed(hub, Guid.NewGuid(), Start, Quiet));
        for (var minute = 1; minute <= 60; minute++)
        {
            Assert.False(await episodes.Failed(hub, route, Start.AddMinutes(minute), Quiet));
        }
        await episodes.Ended(hub, route);
        await episodes.Ended(hub, route);
        Assert.True(await episodes.Failed(hub, route, Start.AddMinutes(61), Quiet));
        Assert.True(await episodes.Failed(hub, route, Start.AddMinutes(72), Quiet));
    }

    [Fact]
    public async Task Of_failures_at_the_same_time_one_begins_the_episode()
    {
        var (_, episodes) = await NewStores();
        var (hub, route) = (Guid.NewGuid(), Guid.NewGuid());
        var begun = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => episodes.Failed(hub, route, Start, Quiet))));
        Assert.Single(begun, began => began);
    }
}

public sealed class MemoryEventLogTests : EventLogContract
{
    protected override Task<(IEventLog, IFailureEpisodes)> NewStores() =>
        Task.FromResult<(IEventLog, IFailureEpisodes)>((new MemoryEventLog(), new MemoryFailureEpisodes()));
}

public sealed class TableEventLogTests : EventLogContract
{
    protected override async Task<(IEventLog, IFailureEpisodes)> NewStores()
    {
        var account = await Stores.NewAccount();
        return (new TableEventLog(account.Tables()), new TableFailureEpisodes(account.Tables()));
    }
}
