using IotHub.Core.Domain;
using IotHub.Core.Messages;
using IotHub.Core.Storage;
using IotHub.Functions.Metrics;
using Xunit;

namespace IotHub.Contract.Storage;

/// <summary>What every driver of the metrics does, and the roll-up that stands on it.</summary>
public abstract class MetricContract
{
    private static readonly DateTimeOffset Hour = new(2026, 3, 12, 15, 0, 0, TimeSpan.Zero);
    private readonly Guid _hub = Guid.NewGuid();
    private readonly Guid _one = Guid.NewGuid();
    private readonly Guid _two = Guid.NewGuid();

    protected abstract Task<Stores> NewStores();

    [Fact]
    public async Task What_was_counted_is_read_by_minute_and_a_repeat_changes_nothing()
    {
        var metrics = (await NewStores()).Metrics;
        for (var repeat = 0; repeat < 2; repeat++)
        {
            await metrics.Record(Counted(5, "aaaaaaaa", 12, 2, (_one, 8), (_two, 4)));
            await metrics.Record(Counted(6, "aaaaaaaa", 1, 1, (_one, 1)) with { Hub = new HubCounts(1, 1, 2) });
            await metrics.Record(Counted(5, "bbbbbbbb", 3, 1, (_one, 3)));
        }
        var hub = (await metrics.Read(_hub, null, MetricSpan.Hour, Hour.AddMinutes(59))).Slots;
        Assert.Equal([(5, 15, 3), (6, 1, 1), (MetricTimes.HourSoFar, 0, 2)], Values(hub));
        Assert.Equal([(5, 11, 1), (6, 1, 1)], Values((await metrics.Read(_hub, _one, MetricSpan.Hour, Hour)).Slots));
        Assert.Equal([(5, 4, 1)], Values((await metrics.Read(_hub, _two, MetricSpan.Hour, Hour)).Slots));
        Assert.Empty((await metrics.Read(_hub, _two, MetricSpan.Hour, Hour.AddHours(1))).Slots);
        Assert.Empty((await metrics.Read(Guid.NewGuid(), null, MetricSpan.Hour, Hour)).Slots);
        Assert.Equal(new[] { _one, _two }.Order(), (await metrics.Devices(_hub, MetricSpan.Hour, Hour).ToList()).Select(row => row.DeviceId!.Value).Order());
    }

    [Fact]
    public async Task A_write_sets_slots_and_leaves_the_others()
    {
        var metrics = (await NewStores()).Metrics;
        var devices = Enumerable.Range(0, 250).Select(_ => Guid.NewGuid()).ToList();
        await metrics.Write(_hub, MetricSpan.Day, Hour, [.. devices.Select(id => Row(id, 3, 10)), Row(null, 3, 2_500)]);
        await metrics.Write(_hub, MetricSpan.Day, Hour, [Row(devices[7], 4, 1), Row(devices[8], 3, 2)]);
        Assert.Equal([(3, 10, 1), (4, 1, 1)], Values((await metrics.Read(_hub, devices[7], MetricSpan.Day, Hour)).Slots));
        Assert.Equal([(3, 2, 1)], Values((await metrics.Read(_hub, devices[8], MetricSpan.Day, Hour)).Slots));
        Assert.Equal([(3, 2_500, 1)], Values((await metrics.Read(_hub, null, MetricSpan.Day, Hour)).Slots));
        Assert.Equal(250, (await metrics.Devices(_hub, MetricSpan.Day, Hour).ToList()).Count);
    }

    [Fact]
    public async Task Full_hours_are_rolled_up_into_days_months_and_years_and_again_when_something_is_late()
    {
        var metrics = (await NewStores()).Metrics;
        await metrics.Record(Counted(5, "aaaaaaaa", 12, 2, (_one, 8), (_two, 4)));
        await metrics.Record(Counted(59, "aaaaaaaa", 7, 1, (_one, 7)));
        await metrics.Record(Counted(61, "aaaaaaaa", 100, 1, (_one, 100)));
        var time = new FixedTime(Hour.AddHours(1).AddMinutes(3));
        var rollUp = new RollUpFunction(metrics, time);
        await rollUp.Run(default);
        await rollUp.Run(default);
        Assert.Empty(await metrics.ToRollUp(time.GetUtcNow()));
        Assert.Equal([(15, 19, 2), (26, 0, 2)], Values((await metrics.Read(_hub, null, MetricSpan.Day, Hour)).Slots));
        Assert.Equal([(15, 15, 1)], Values((await metrics.Read(_hub, _one, MetricSpan.Day, Hour)).Slots));
        Assert.Equal([(12, 19, 2)], Values((await metrics.Read(_hub, null, MetricSpan.Month, Hour)).Slots));
        Assert.Equal([(3, 4, 1)], Values((await metrics.Read(_hub, _two, MetricSpan.Year, Hour)).Slots));

        // The next hour, and a minute of the hour before that comes late.
        await metrics.Record(Counted(30, "aaaaaaaa", 1, 1, (_two, 1)));
        time.Now = Hour.AddHours(2).AddMinutes(3);
        await rollUp.Run(default);
        Assert.Equal([(15, 20, 2), (16, 100, 1), (26, 0, 2)], Values((await metrics.Read(_hub, null, MetricSpan.Day, Hour)).Slots));
        Assert.Equal([(3, 120, 2)], Values((await metrics.Read(_hub, null, MetricSpan.Year, Hour)).Slots));
        Assert.Equal([(3, 115, 1)], Values((await metrics.Read(_hub, _one, MetricSpan.Year, Hour)).Slots));
    }

    [Fact]
    public async Task An_hour_stays_marked_when_something_comes_in_during_its_roll_up()
    {
        var metrics = (await NewStores()).Metrics;
        await metrics.Record(Counted(5, "aaaaaaaa", 1, 1, (_one, 1)));
        Assert.Empty(await metrics.ToRollUp(Hour.AddMinutes(59)));
        var marked = Assert.Single(await metrics.ToRollUp(Hour.AddHours(1)));
        await metrics.Record(Counted(6, "aaaaaaaa", 1, 1, (_one, 1)));
        await metrics.RolledUp(marked);
        await metrics.RolledUp(Assert.Single(await metrics.ToRollUp(Hour.AddHours(1))));
        Assert.Empty(await metrics.ToRollUp(Hour.AddHours(1)));
    }

    [Fact]
    public async Task Rows_are_dropped_when_their_time_is_over()
    {
        var metrics = (await NewStores()).Metrics;
        await metrics.Record(Counted(5, "aaaaaaaa", 1, 1, (_one, 1)));
        await new RollUpFunction(metrics, new FixedTime(Hour.AddHours(2))).Run(default);
        async Task<MetricSpan[]> Left(TimeSpan after)
        {
            await metrics.Trim(Hour + after);
            var left = new List<MetricSpan>();
            foreach (var span in Enum.GetValues<MetricSpan>())
            {
                var devices = await metrics.Devices(_hub, span, Hour).ToList();
                Assert.Equal(devices.Count, (await metrics.Read(_hub, null, span, Hour)).Slots.Count > 0 ? 1 : 0);
                left.AddRange(devices.Count > 0 ? [span] : []);
            }
            return [.. left];
        }
        Assert.Equal([MetricSpan.Hour, MetricSpan.Day, MetricSpan.Month, MetricSpan.Year], await Left(TimeSpan.FromDays(1)));
        Assert.Equal([MetricSpan.Day, MetricSpan.Month, MetricSpan.Year], await Left(TimeSpan.FromDays(4)));
        Assert.Equal([MetricSpan.Month, MetricSpan.Year], await Left(TimeSpan.FromDays(12)));
        Assert.Equal([MetricSpan.Year], await Left(TimeSpan.FromDays(80)));
        Assert.Empty(await Left(TimeSpan.FromDays(740)));
    }

    [Fact]
    public async Task A_deleted_device_or_hub_leaves_nothing()
    {
        var metrics = (await NewStores()).Metrics;
        var other = Guid.NewGuid();
        await metrics.Record(Counted(5, "aaaaaaaa", 12, 2, (_one, 8), (_two, 4)));
        await metrics.Record(Counted(5, "aaaaaaaa", 12, 2, (_one, 8)) with { HubId = other });
        await new RollUpFunction(metrics, new FixedTime(Hour.AddHours(1))).Run(default);
        await metrics.DeleteDevice(_hub, _one, Hour.AddHours(30));
        foreach (var span in Enum.GetValues<MetricSpan>())
        {
            Assert.Empty((await metrics.Read(_hub, _one, span, Hour)).Slots);
            Assert.NotEmpty((await metrics.Read(_hub, _two, span, Hour)).Slots);
            Assert.NotEmpty((await metrics.Read(other, _one, span, Hour)).Slots);
        }
        await metrics.DeleteHub(_hub);
        foreach (var span in Enum.GetValues<MetricSpan>())
        {
            Assert.Empty((await metrics.Read(_hub, null, span, Hour)).Slots);
            Assert.Empty(await metrics.Devices(_hub, span, Hour).ToList());
            Assert.NotEmpty((await metrics.Read(other, null, span, Hour)).Slots);
        }
    }

    private MetricsEnvelope Counted(int minute, string source, long messages, long active, params (Guid Id, long Messages)[] devices) => new()
    {
        HubId = _hub,
        Source = source,
        Minute = Hour.AddMinutes(minute),
        Hub = new HubCounts(messages, active, active),
        Devices = [.. devices.Select(device => new DeviceCounts(device.Id, device.Messages))],
    };

    private static MetricRow Row(Guid? id, int slot, long messages) =>
        new(id, new Dictionary<int, MetricValue> { [slot] = new(messages, 1) });

    private static IEnumerable<(int, long, long)> Values(IReadOnlyDictionary<int, MetricValue> slots) =>
        slots.OrderBy(slot => slot.Key).Select(slot => (slot.Key, slot.Value.Messages, slot.Value.Active));

    private sealed class FixedTime(DateTimeOffset now) : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = now;

        public override DateTimeOffset GetUtcNow() => Now;
    }
}

public sealed class MemoryMetricTests : MetricContract
{
    protected override Task<Stores> NewStores() => Task.FromResult(Stores.InMemory(TimeProvider.System));
}

public sealed class TableMetricTests : MetricContract
{
    protected override async Task<Stores> NewStores() => Stores.InTables(await Stores.NewAccount(), TimeProvider.System);
}
