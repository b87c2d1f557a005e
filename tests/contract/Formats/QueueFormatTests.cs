using System.Text;
using System.Text.RegularExpressions;
using IotHub.Core.Messages;
using IotHub.Functions.Routes.Delivery;
using IotHub.Harness;
using Xunit;

namespace IotHub.Contract.Formats;

/// <summary>
/// What stands on queues outlives the program that wrote it: docs/formats/queues.md holds an example of each envelope, and the code writes
/// and reads exactly that. A failure here means old messages on real queues; add a version, do not edit the example.
/// </summary>
public sealed partial class QueueFormatTests
{
    private static readonly Guid HubId = new("2239b002-e2a8-4a31-ac9d-2f62467e0e1a");
    private static readonly Guid OtherId = new("a74d10af-9e93-413c-a28d-e63f57d7d21a");
    private static readonly Guid FirstId = new("080b85df-4bcd-4c96-a97d-34470b1650bc");
    private static readonly Guid SecondId = new("936a2739-59c4-4ef8-bcb0-436ee9f8c82c");
    private static readonly DateTimeOffset At = new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero).AddTicks(1_234_567);
    private static readonly DateTimeOffset Whole = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);
    private static readonly EnvelopeMessage First = new() { Id = FirstId, Topic = "hello/world", Payload = [0, 1, 255], Retain = true, ReceivedAt = Whole };

    [GeneratedRegex("```json\n(.*?)\n```", RegexOptions.Singleline)]
    private static partial Regex Example { get; }

    private static string InTheDocument(int number) =>
        Example.Matches(File.ReadAllText(RepositoryRoot.Combine("docs", "formats", "queues.md")).ReplaceLineEndings("\n"))[number].Groups[1].Value;

    private static T WritesAndReads<T>(int number, T envelope)
    {
        Assert.Equal(InTheDocument(number), Encoding.UTF8.GetString(EnvelopeJson.Write(envelope)));
        return EnvelopeJson.Read<T>(Encoding.UTF8.GetBytes(InTheDocument(number)));
    }

    [Fact]
    public void Deliveries_are_written_as_documented()
    {
        var read = WritesAndReads(0, new DeliveryEnvelope
        {
            HubId = HubId,
            RouteId = OtherId,
            Attempt = 2,
            Refusals = 1,
            CreatedAt = At,
            Messages =
            [
                First,
                new EnvelopeMessage { Id = SecondId, Topic = "large", PayloadBlob = $"{HubId}/{SecondId}", ReceivedAt = Whole.AddMilliseconds(500) },
            ],
        });
        Assert.Equal([0, 1, 255], read.Messages[0].Payload);
        Assert.Equal((2, 1, At), (read.Attempt, read.Refusals, read.CreatedAt));
        Assert.Equal($"{HubId}/{SecondId}", read.Messages[1].PayloadBlob);
    }

    [Fact]
    public void Events_are_written_as_documented()
    {
        var read = WritesAndReads(1, new EventsEnvelope
        {
            HubId = HubId,
            Activity = [new ActivityReport(OtherId, true, At)],
            Events =
            [
                new HubEvent
                {
                    Time = At,
                    Severity = "error",
                    ObjectType = "device",
                    ObjectId = OtherId.ToString(),
                    Message = "mutual TLS authentication is required",
                    Packet = "CONNECT: dup: false qos: 0 retain: false rLength: 12",
                },
            ],
        });
        Assert.Equal(new ActivityReport(OtherId, true, At), Assert.Single(read.Activity));
        Assert.Equal(Whole, Assert.Single(read.Events).Time);
    }

    [Fact]
    public void Ingress_is_written_as_documented()
    {
        var read = WritesAndReads(2, new IngressEnvelope
        {
            HubId = HubId,
            SourceId = FirstId,
            Message = new EnvelopeMessage { Id = SecondId, Topic = "myapp/A1234B/payload", Payload = """{"data":"ABCDEF01"}"""u8.ToArray(), ReceivedAt = At },
        });
        Assert.Equal((FirstId, SecondId, At), (read.SourceId, read.Message.Id, read.Message.ReceivedAt));
    }

    [Fact]
    public void Dead_letters_are_written_and_named_as_documented()
    {
        var letter = new DeadLetter
        {
            HubId = HubId,
            RouteId = OtherId,
            Reason = "rest call failed. Error 422",
            Attempts = 4,
            GivenUpAt = Whole.AddSeconds(55),
            Message = First with { Retain = false, ReceivedAt = At },
        };
        var read = WritesAndReads(3, letter);
        Assert.Equal(letter.Reason, read.Reason);
        Assert.Equal($"{HubId}/{OtherId}/20260102T030405.1234567Z-{FirstId}.json", DeadLetters.NameOf(letter));
    }

    [Fact]
    public void Metrics_are_written_as_documented()
    {
        var read = WritesAndReads(4, new MetricsEnvelope
        {
            HubId = HubId,
            Source = "0123abcd",
            Minute = Whole.AddSeconds(-5),
            Hub = new HubCounts(12, 1, 3),
            Devices = [new DeviceCounts(OtherId, 12)],
        });
        Assert.Equal((new HubCounts(12, 1, 3), new DeviceCounts(OtherId, 12)), (read.Hub, Assert.Single(read.Devices)));
    }

    [Fact]
    public void Twin_pushes_are_written_as_documented()
    {
        var read = WritesAndReads(5, new TwinPushEnvelope
        {
            HubId = HubId,
            TwinId = OtherId,
            DocumentName = "current",
            At = At,
            Values = [new TwinValue("state.t", 20.5, new Dictionary<string, string> { ["source"] = "test" })],
        });
        Assert.Equal(("state.t", 20.5, "test"), (read.Values[0].Path, read.Values[0].Value, read.Values[0].Tags["source"]));
    }

    [Fact]
    public void The_run_of_the_broker_is_a_member_that_may_be_absent()
    {
        var run = EnvelopeJson.Write(new EventsEnvelope { HubId = HubId, BrokerRun = OtherId });
        Assert.Equal(OtherId, EnvelopeJson.Read<EventsEnvelope>(run).BrokerRun);
        Assert.Null(EnvelopeJson.Read<EventsEnvelope>(Encoding.UTF8.GetBytes(InTheDocument(1))).BrokerRun);
    }

    [Fact]
    public void An_envelope_of_before_refusals_were_counted_is_still_read()
    {
        var old = InTheDocument(0).Replace("\"refusals\":1,", "", StringComparison.Ordinal);
        Assert.Equal(0, EnvelopeJson.Read<DeliveryEnvelope>(Encoding.UTF8.GetBytes(old)).Refusals);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(5)]
    public void Unknown_members_are_ignored_and_newer_versions_refused(int number)
    {
        var json = InTheDocument(number);
        Read(number, json.Replace("{\"version\":1,", "{\"version\":1,\"a_new_member\":{\"x\":[1]},", StringComparison.Ordinal));
        Assert.Throws<FormatException>(() => Read(number, json.Replace("\"version\":1,", "\"version\":2,", StringComparison.Ordinal)));
        Assert.Throws<FormatException>(() => Read(number, json.Replace("\"hub_id\"", "\"hub\"", StringComparison.Ordinal)));
    }

    private static object Read(int number, string json) => number switch
    {
        0 => EnvelopeJson.Read<DeliveryEnvelope>(Encoding.UTF8.GetBytes(json)),
        1 => EnvelopeJson.Read<EventsEnvelope>(Encoding.UTF8.GetBytes(json)),
        4 => EnvelopeJson.Read<MetricsEnvelope>(Encoding.UTF8.GetBytes(json)),
        5 => EnvelopeJson.Read<TwinPushEnvelope>(Encoding.UTF8.GetBytes(json)),
        _ => EnvelopeJson.Read<IngressEnvelope>(Encoding.UTF8.GetBytes(json)),
    };
}
