using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Harness.Faults;

/// <summary>
/// What clients meet while the disk under the broker refuses writes (decision D5): nothing is acknowledged that would have to be kept,
/// what need not be kept goes on, and service resumes by itself.
/// </summary>
public sealed class DiskFaultStory(DiskUnderBroker disk)
{
    /// <summary>More than a segment has laid out ahead: a disk that is only full still takes what fits there.</summary>
    private const int LargeBytes = 600 * 1024;

    private static readonly byte[] Forever = Packet.Property(0x11, uint.MaxValue);

    /// <summary>Break, refuse, mend, resume; then a crash, and all that was acknowledged is there.</summary>
    public async Task RefuseAndResume()
    {
        await Prepare();
        await using var waiting = await Connected("waiting");
        await waiting.Send(Packet.Publish("t", "acknowledged before", 1, 1));
        Assert.Equal("PUBACK #1", await Heard(waiting));
        await using var member = await Connected("member", keep: true);

        disk.Break();
        await BreakNoticed(waiting, "waits for the disk");
        await NewWorkIsRefused(member);
        await WhatNeedNotBeKeptGoesOn();

        disk.Mend();
        // All that was answered to this client meanwhile stood behind the one that waited.
        Assert.Equal("PUBACK #2", await Heard(waiting));
        await waiting.Send(Packet.Publish("t", "acknowledged after", 1, 3));
        Assert.Equal("PUBACK #3", await Heard(waiting));
        await Eventually.True(
            () => disk.Output.Contains("can be written again", StringComparison.Ordinal), otherwise: () => disk.Output);

        await disk.Kill();
        await disk.Start();
        Assert.Equal(["acknowledged before", "waits for the disk", "acknowledged after"], await Kept());
    }

    /// <summary>Break, refuse, and end while it lasts: at the next start all that was acknowledged is there, and nothing that was refused.</summary>
    public async Task CrashWhileItLasts()
    {
        await Prepare();
        await using var publisher = await Connected("publisher");
        await publisher.Send(Packet.Publish("t", "acknowledged before", 1, 1));
        Assert.Equal("PUBACK #1", await Heard(publisher));
        await using var member = await Connected("member", keep: true);

        disk.Break();
        await BreakNoticed(publisher, "never acknowledged");
        await NewWorkIsRefused(member);
        await disk.Kill();
        disk.MendStopped();
        await disk.Start();

        var kept = await Kept();
        Assert.Equal("acknowledged before", kept[0]);
        Assert.True(kept is [_] or [_, "never acknowledged"], string.Join(", ", kept));
    }

    /// <summary>Of a disk that writes and does not read: who comes for what waits there is sent away, and gets all of it later.</summary>
    public async Task NothingIsLostWhileReadsFail()
    {
        await Prepare();
        await using (var publisher = await Connected("publisher"))
        {
            await publisher.Send(Packet.Publish("t", "one", 1, 1), Packet.Publish("t", "two", 2, 2));
            Assert.Equal("PUBACK #1", await Heard(publisher));
            Assert.Equal("PUBREC #2", await Heard(publisher));
        }
        disk.Break();
        await using (var absent = await RawClient.Open(disk.Port))
        {
            await absent.Send(Packet.Connect(new ConnectOptions { ClientId = "absent", CleanStart = false, Properties = Forever }));
            Assert.Equal("CONNACK present", await Heard(absent));
            Assert.Equal("DISCONNECT 88", await Heard(absent));
        }
        Assert.Contains("cannot be read back", disk.Output, StringComparison.Ordinal);
        await using (var publisher = await Connected("another"))
        {
            await publisher.Send(Packet.Publish("t", "three", 1, 1));
            Assert.Equal("PUBACK #1", await Heard(publisher));
        }
        disk.Mend();
        Assert.Equal(["one", "two", "three"], await Kept());
    }

    private async Task Prepare()
    {
        await disk.Start();
        await using var absent = await Connected("absent", keep: true);
        await absent.Send(Packet.Subscribe(1, true, 0, ("t", 2)));
        Assert.Equal("SUBACK #1 02", await Heard(absent));
    }

    /// <summary>A publish that must be kept is the first to find out: it gets no answer.</summary>
    private async Task BreakNoticed(RawClient publisher, string payload)
    {
        await publisher.Send(Packet.Publish("t", payload.PadRight(LargeBytes), 1, 2));
        await Eventually.True(
            () => disk.Output.Contains("the log cannot be written", StringComparison.Ordinal), otherwise: () => disk.Output);
    }

    private async Task NewWorkIsRefused(RawClient member)
    {
        await member.Send(Packet.Subscribe(7, true, 0, ("other", 1)), Packet.Unsubscribe(8, true, "other"));
        Assert.Equal("SUBACK #7 97", await Heard(member));
        Assert.Equal("UNSUBACK #8 83", await Heard(member));
        await using var publisher = await Connected("refused");
        await publisher.Send(
            Packet.Publish("t", "refused", 1, 1), Packet.Publish("t", "refused", 2, 2), Packet.Publish("r", "refused", 1, 3, retain: true));
        Assert.Equal("PUBACK #1 97", await Heard(publisher));
        Assert.Equal("PUBREC #2 97", await Heard(publisher));
        Assert.Equal("PUBACK #3 97", await Heard(publisher));
        await using var late = await RawClient.Open(disk.Port);
        await late.Send(Packet.Connect(new ConnectOptions { ClientId = "late", Properties = Forever }));
        Assert.Equal("CONNACK new 89", await Heard(late));
        await OlderClientsAreRefused();
    }

    /// <summary>3.1.1 has no word for it: no acknowledgement, and the end.</summary>
    private async Task OlderClientsAreRefused()
    {
        await using var older = await RawClient.Open(disk.Port);
        await older.Send(Packet.Connect(new ConnectOptions { Level = 4, ClientId = "older" }));
        await older.Expect("20 02 00 00");
        await older.Send(Packet.Publish("t", "refused", 1, 1, isV5: false));
        await older.ExpectClosed();
        await using var keeping = await RawClient.Open(disk.Port);
        await keeping.Send(Packet.Connect(new ConnectOptions { Level = 4, ClientId = "keeping", CleanStart = false }));
        await keeping.Expect("20 02 00 03");
    }

    private async Task WhatNeedNotBeKeptGoesOn()
    {
        await using var live = await Connected("live");
        await live.Send(Packet.Subscribe(1, true, 0, ("live", 2)));
        Assert.Equal("SUBACK #1 02", await Heard(live));
        await using var publisher = await Connected("live publisher");
        await publisher.Send(Packet.Publish("live", "x", 1, 1), Packet.Publish("t", "to nobody who is here", 0));
        Assert.Equal("PUBACK #1", await Heard(publisher));
        Assert.Equal("PUBLISH 1 #1 live=x", await Heard(live));
    }

    /// <summary>What the absent session has waiting, in order.</summary>
    private async Task<List<string>> Kept()
    {
        await using var absent = await RawClient.Open(disk.Port);
        await absent.Send(Packet.Connect(new ConnectOptions { ClientId = "absent", CleanStart = false, Properties = Forever }));
        Assert.Equal("CONNACK present", await Heard(absent));
        await using var publisher = await Connected("last");
        await publisher.Send(Packet.Publish("t", "last", 1, 1));
        Assert.Equal("PUBACK #1", await Heard(publisher));
        var kept = new List<string>();
        while (ReceivedPublish.Read(await absent.Next(), isV5: true) is { Payload: not "last" } publish)
        {
            kept.Add(publish.Payload.TrimEnd());
        }
        return kept;
    }

    private async Task<RawClient> Connected(string clientId, bool keep = false)
    {
        var client = await RawClient.Open(disk.Port);
        await client.Send(Packet.Connect(new ConnectOptions { ClientId = clientId, Properties = keep ? Forever : [] }));
        Assert.Equal("CONNACK new", await Heard(client));
        return client;
    }

    private static async Task<string> Heard(RawClient client) => PacketStory.Tell(await client.Next(), isV5: true);
}
