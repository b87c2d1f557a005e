using IotHub.Broker.Protocol;
using IotHub.Harness;
using IotHub.Harness.Mqtt;
using Xunit;

namespace IotHub.Unit.Fuzz;

/// <summary>
/// Every target with the corpus, and with seeded mutations of it: a few thousand in `dotnet test`, as many as FUZZ_ITERATIONS says on demand
/// (FUZZ_SEED chooses the run). A failure prints the bytes; add them to corpus/ as a line of their own with a word on the bug.
/// </summary>
public sealed class FuzzTests
{
    private const int DefaultIterations = 2_000;

    public static TheoryData<string> Targets => [.. FuzzTargets.All.Keys];

    [Theory]
    [MemberData(nameof(Targets))]
    public void A_target_survives_its_corpus_and_mutations_of_it(string name)
    {
        var target = FuzzTargets.All[name];
        var corpus = Corpus();
        foreach (var bytes in corpus)
        {
            Run(name, target, bytes);
        }
        var random = new Random(Setting("FUZZ_SEED", 20260101) ^ name.Length);
        var iterations = Setting("FUZZ_ITERATIONS", DefaultIterations);
        for (var i = 0; i < iterations; i++)
        {
            Run(name, target, Mutate(corpus[random.Next(corpus.Count)], corpus, random));
        }
    }

    [Fact]
    public void Every_packet_that_a_client_may_send_has_a_target()
    {
        var covered = new Dictionary<PacketType, string>
        {
            [PacketType.Connect] = "connect",
            [PacketType.Publish] = "publish",
            [PacketType.PubAck] = "acknowledgement",
            [PacketType.PubRec] = "acknowledgement",
            [PacketType.PubRel] = "acknowledgement",
            [PacketType.PubComp] = "acknowledgement",
            [PacketType.Subscribe] = "subscribe",
            [PacketType.Unsubscribe] = "unsubscribe",
            [PacketType.PingReq] = "conversation",
            [PacketType.Disconnect] = "disconnect",
            [PacketType.Auth] = "auth",
        };
        PacketType[] fromServer = [PacketType.ConnAck, PacketType.SubAck, PacketType.UnsubAck, PacketType.PingResp];
        Assert.Equal(Enum.GetValues<PacketType>().Except(fromServer).Order(), covered.Keys.Order());
        Assert.All(covered.Values, name => Assert.Contains(name, FuzzTargets.All.Keys));
    }

    private static void Run(string name, Action<byte[]> target, byte[] bytes)
    {
        try
        {
            target(bytes);
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{name} failed on {Hex.Write(bytes)}", e);
        }
    }

    private static byte[] Mutate(byte[] seed, List<byte[]> corpus, Random random)
    {
        var bytes = seed.ToList();
        for (var changes = random.Next(1, 5); changes > 0; changes--)
        {
            var at = random.Next(bytes.Count + 1);
            switch (random.Next(6))
            {
                case 0 when at < bytes.Count:
                    bytes[at] ^= (byte)(1 << random.Next(8));
                    break;
                case 1 when at < bytes.Count:
                    bytes[at] = (byte)(random.Next(2) == 0 ? 0xFF : random.Next(256));
                    break;
                case 2 when at < bytes.Count:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 4), bytes.Count - at));
                    break;
                case 3:
                    bytes.InsertRange(at, corpus[random.Next(corpus.Count)].Take(random.Next(1, 20)));
                    break;
                case 4:
                    bytes.Insert(at, (byte)random.Next(256));
                    break;
                default:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
            }
        }
        return [.. bytes];
    }

    private static int Setting(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), out var value) ? value : otherwise;

    private static List<byte[]> Corpus()
    {
        var lines = Directory.GetFiles(RepositoryRoot.Combine("tests", "unit", "Fuzz", "corpus"), "*.hex").Order(StringComparer.Ordinal)
            .SelectMany(File.ReadAllLines)
            .Select(l => l.Split('#')[0].Trim())
            .Where(l => l.Length > 0).ToList();
        Assert.NotEmpty(lines);
        return lines.ConvertAll(Hex.Read);
    }
}
