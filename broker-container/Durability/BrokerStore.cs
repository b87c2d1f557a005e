using System.Globalization;
using System.Text;

namespace IotHub.Broker.Durability;

/// <summary>
/// The broker's data folder: the file <c>store</c> (what it is), <c>lock</c> (who has it), and one folder per shard. The number of shards
/// is settled when it is made: hubs are spread over them by hash.
/// </summary>
public sealed class BrokerStore : IDisposable
{
    public const int ShardsMaximum = 1024;
    private const int Version = 1;
    private const string StoreName = "store";
    private const string UnfinishedName = "store.unfinished";
    private const string LockName = "lock";
    private const int WouldBlock = 11;
    private const int WouldBlockMac = 35;
    private const int SharingViolation = 32;
    private const string FirstWord = "iothub-store";

    private readonly string _folder;
    private readonly FileStream _lock;

    private BrokerStore(string folder, FileStream taken, Guid id, int shards)
    {
        _folder = folder;
        _lock = taken;
        Id = id;
        Shards = shards;
    }

    public Guid Id { get; }

    public int Shards { get; }

    /// <summary>Opens a store, or makes one in a folder that is empty or not there.</summary>
    /// <exception cref="StartException">One sentence on why not: taken, damaged, newer, incomplete, or no rights.</exception>
    public static BrokerStore Open(string folder, int shardsWhenCreated) => Open(folder, shardsWhenCreated, create: true);

    /// <summary>Opens a store that is there.</summary>
    /// <exception cref="StartException">One sentence on why not.</exception>
    public static BrokerStore OpenExisting(string folder) => Open(folder, 0, create: false);

    public IShardFiles FilesOf(int shard)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((uint)shard, (uint)Shards, nameof(shard));
        var path = ShardFolder(_folder, shard);
        return Directory.Exists(path)
            ? new FileShardFiles(path, shard, Id)
            : throw new StartException($"the folder {path} of the store is missing: put it back, the store is not whole without it");
    }

    public void Dispose() => _lock.Dispose();

    private static BrokerStore Open(string folder, int shardsWhenCreated, bool create)
    {
        FileStream? taken = null;
        try
        {
            folder = Path.GetFullPath(folder);
            if (create)
            {
                PrivateFile.CreateFolder(folder);
            }
            else if (!File.Exists(Path.Combine(folder, StoreName)))
            {
                throw new StartException($"{folder} holds no store");
            }
            taken = TakeLock(folder);
            var file = Path.Combine(folder, StoreName);
            if (!File.Exists(file))
            {
                Create(folder, shardsWhenCreated);
            }
            var (id, shards) = Read(file);
            return new BrokerStore(folder, taken, id, shards);
        }
        catch (Exception e)
        {
            taken?.Dispose();
            throw e is IOException or UnauthorizedAccessException
                ? new StartException($"the store in {folder} cannot be used: {e.Message.TrimEnd('.')}", e)
                : e is StartException ? e : new StartException($"the store in {folder} cannot be opened: {e.Message.TrimEnd('.')}", e);
        }
    }

    private static FileStream TakeLock(string folder)
    {
        var path = Path.Combine(folder, LockName);
        FileStream taken;
        try
        {
            taken = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException e) when ((e.HResult & 0xFFFF) is WouldBlock or WouldBlockMac or SharingViolation)
        {
            throw new StartException($"the store in {folder} is used by another process: one broker at a time", e);
        }
        return taken;
    }

    /// <summary>The file <c>store</c> comes last: without it, what is here was never used.</summary>
    private static void Create(string folder, int shards)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(shards, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(shards, ShardsMaximum);
        RemoveUnfinished(folder);
        var id = Guid.NewGuid();
        for (var shard = 0; shard < shards; shard++)
        {
            var path = ShardFolder(folder, shard);
            PrivateFile.CreateFolder(path);
            ShardLog.Create(new FileShardFiles(path, shard, id));
        }
        var text = string.Create(
            CultureInfo.InvariantCulture, $"{FirstWord} {Version}\nid {id}\nshards {shards}\ncreated {DateTimeOffset.UtcNow:O}\n");
        var unfinished = Path.Combine(folder, UnfinishedName);
        using (var file = PrivateFile.Create(unfinished))
        {
            RandomAccess.Write(file, Encoding.UTF8.GetBytes(text + Check(text)), 0);
            RandomAccess.FlushToDisk(file);
        }
        File.Move(unfinished, Path.Combine(folder, StoreName));
        DiskSync.Folder(folder);
    }

    private static void RemoveUnfinished(string folder)
    {
        foreach (var entry in Directory.EnumerateFileSystemEntries(folder))
        {
            var name = Path.GetFileName(entry);
            if (name is LockName or UnfinishedName or "lost+found"
                || (name.StartsWith("shard-", StringComparison.Ordinal) && IsUnused(entry)))
            {
                continue;
            }
            throw new StartException(
                $"{folder} is not empty and holds no file \"{StoreName}\": give an empty folder, or put the file back if this was a store");
        }
        File.Delete(Path.Combine(folder, UnfinishedName));
        foreach (var path in Directory.EnumerateDirectories(folder, "shard-*"))
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>A shard's folder as <see cref="Create(string, int)"/> leaves it, or less of it.</summary>
    private static bool IsUnused(string shardFolder) =>
        Directory.Exists(shardFolder) && Directory.EnumerateFileSystemEntries(shardFolder).All(
            path => new FileInfo(path) is { Exists: true, Length: <= LogFormat.SegmentHeaderBytes });

    private static (Guid Id, int Shards) Read(string file)
    {
        var text = File.ReadAllText(file);
        var lines = text.Split('\n');
        var check = text.LastIndexOf("check ", StringComparison.Ordinal);
        if (check < 0 || text[check..] != Check(text[..check]) || lines[0].Split(' ') is not [FirstWord, var number]
            || !int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var version))
        {
            throw new StartException($"{file} is not the description of a store, or damaged: put back a copy of it");
        }
        if (version > Version)
        {
            throw new StartException($"{file} was written by a newer broker (store format {version}; this one reads up to {Version})");
        }
        return Guid.TryParse(Value("id "), out var id)
            && int.TryParse(Value("shards "), NumberStyles.None, CultureInfo.InvariantCulture, out var shards)
            && shards is >= 1 and <= ShardsMaximum
            ? (id, shards)
            : throw new StartException($"{file} does not say which store it describes: put back a copy of it");

        string? Value(string name) => lines.FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal))?[name.Length..];
    }

    private static string Check(string text) => $"check {Crc32C.Of(Encoding.UTF8.GetBytes(text)):x8}\n";

    private static string ShardFolder(string folder, int shard) =>
        Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"shard-{shard:D2}"));
}
