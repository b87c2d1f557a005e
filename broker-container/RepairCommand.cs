using System.Globalization;
using IotHub.Broker.Durability;

namespace IotHub.Broker;

/// <summary>Looks through a store, says what is damaged, and with <c>--apply</c> gives that up so that the rest can be read.</summary>
public static class RepairCommand
{
    public const string Name = "repair";

    public const string Usage =
        """
        usage: IotHub.Broker repair --data DIR [--shard N] [--apply]
          says which ranges of the log are damaged and what would be given up; changes nothing unless --apply is given. With it, the
          damaged bytes are kept beside their file (.damaged-OFFSET) and a gap is put in their place
        """;

    /// <returns>0: nothing is damaged, or all was repaired; 1: something is, or the store cannot be opened.</returns>
    public static int Run(IReadOnlyList<string> args, TextWriter output, TextWriter errors)
    {
        try
        {
            var (folder, only, apply) = Parse(args);
            using var store = BrokerStore.OpenExisting(folder);
            if (only >= store.Shards)
            {
                throw new StartException($"--shard: the store has shards 0 to {store.Shards - 1}");
            }
            var found = 0;
            foreach (var shard in only is { } one ? [one] : Enumerable.Range(0, store.Shards))
            {
                found += new LogRepair(store.FilesOf(shard)).Run(output, apply ? Keep : null);
            }
            if (found > 0 && !apply)
            {
                output.WriteLine("nothing was changed: --apply gives the damaged ranges up");
            }
            return found == 0 || apply ? 0 : 1;
        }
        catch (Exception e) when (e is StartException or DamagedLogException or IOException or UnauthorizedAccessException)
        {
            errors.WriteLine($"IotHub.Broker: {e.Message}");
            return 1;
        }
    }

    private static string Keep(ISegment segment, long offset, ReadOnlySpan<byte> bytes)
    {
        var path = string.Create(CultureInfo.InvariantCulture, $"{segment.Name}.damaged-{offset}");
        for (var again = 2; File.Exists(path); again++)
        {
            path = string.Create(CultureInfo.InvariantCulture, $"{segment.Name}.damaged-{offset}-{again}");
        }
        using var file = PrivateFile.Create(path);
        RandomAccess.Write(file, bytes, 0);
        RandomAccess.FlushToDisk(file);
        return path;
    }

    private static (string Folder, int? Shard, bool Apply) Parse(IReadOnlyList<string> args)
    {
        string? folder = null;
        int? shard = null;
        var apply = false;
        for (var i = 0; i < args.Count; i++)
        {
            switch (args[i])
            {
                case "--data" when i + 1 < args.Count:
                    folder = args[++i];
                    break;
                case "--shard" when i + 1 < args.Count
                    && int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var number):
                    shard = number;
                    i++;
                    break;
                case "--apply":
                    apply = true;
                    break;
                default:
                    throw new StartException($"{args[i]} is not understood\n{Usage}");
            }
        }
        return (folder ?? throw new StartException($"which store?\n{Usage}"), shard, apply);
    }
}
