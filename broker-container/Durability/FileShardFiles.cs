using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace IotHub.Broker.Durability;

/// <summary>Segments as files of one folder, named by the position of their first block.</summary>
public sealed class FileShardFiles(string folder, int shard, Guid storeId) : IShardFiles
{
    public const string Extension = ".log";

    /// <summary>Beside the segments: which of them there must be.</summary>
    public const string NoteName = "segments";
    private const int NameDigits = 19;

    /// <summary>A segment or note that is being made; whatever has this name was not finished.</summary>
    private const string UnfinishedName = "unfinished";

    /// <summary>Zeros that a next segment will stand in. Each has a name of its own: one can be taken while another is laid out.</summary>
    private const string PreparedName = "prepared";

    private PreparedFile? _prepared;
    private int _preparations;

    private sealed record PreparedFile(string Path, SafeFileHandle File);

    public int Shard => shard;

    public string Name => folder;

    public Guid StoreId => storeId;

    public IReadOnlyList<ISegment> Open()
    {
        File.Delete(Path.Combine(folder, UnfinishedName));
        foreach (var prepared in Directory.GetFiles(folder, PreparedName + "*"))
        {
            File.Delete(prepared);
        }
        var segments = new List<ISegment>();
        try
        {
            foreach (var path in Directory.EnumerateFiles(folder, "*" + Extension))
            {
                var file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
                segments.Add(new FileSegment(path, PositionIn(path), file));
            }
        }
        catch
        {
            segments.ForEach(segment => segment.Dispose());
            throw;
        }
        return segments.OrderBy(segment => segment.First).ToList();
    }

    public ISegment Create(long first, ReadOnlySpan<byte> header)
    {
        var path = Path.Combine(folder, first.ToString($"D{NameDigits}", CultureInfo.InvariantCulture) + Extension);
        var (unfinished, file) = Interlocked.Exchange(ref _prepared, null) ?? CreateUnfinished();
        try
        {
            PrivateFile.Write(file, header, 0);
            DiskSync.Data(file, path);
            File.Move(unfinished, path, overwrite: true);
            DiskSync.Folder(folder);
        }
        catch
        {
            Discard(file, unfinished);
            throw;
        }
        return new FileSegment(path, first, file);
    }

    public void Prepare(long length)
    {
        if (Volatile.Read(ref _prepared) is not null)
        {
            return;
        }
        var path = Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{PreparedName}-{++_preparations}"));
        var file = PrivateFile.Create(path);
        try
        {
            FileSegment.LayOut(file, path, 0, length, inSteps: true);
        }
        catch
        {
            Discard(file, path);
            throw;
        }
        Volatile.Write(ref _prepared, new PreparedFile(path, file));
    }

    public byte[]? ReadNote()
    {
        var path = Path.Combine(folder, NoteName);
        return File.Exists(path) ? File.ReadAllBytes(path) : null;
    }

    public void WriteNote(ReadOnlySpan<byte> bytes)
    {
        var unfinished = Path.Combine(folder, UnfinishedName);
        File.Delete(unfinished);
        using (var file = PrivateFile.Create(unfinished))
        {
            PrivateFile.Write(file, bytes, 0);
            DiskSync.Data(file, unfinished);
        }
        File.Move(unfinished, Path.Combine(folder, NoteName), overwrite: true);
        DiskSync.Folder(folder);
    }

    public void Delete(ISegment segment)
    {
        File.Delete(segment.Name);
        DiskSync.Folder(folder);
    }

    /// <summary>It would take room on a disk that may be full.</summary>
    private static void Discard(SafeFileHandle file, string path)
    {
        file.Dispose();
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The next start does.
        }
    }

    private PreparedFile CreateUnfinished()
    {
        var path = Path.Combine(folder, UnfinishedName);
        File.Delete(path);
        return new PreparedFile(path, PrivateFile.Create(path));
    }

    private static long PositionIn(string path)
    {
        var name = Path.GetFileNameWithoutExtension(path);
        return name.Length == NameDigits && long.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out var first)
            ? first
            : throw new StartException($"{path} is no part of a log: rename or move it");
    }
}

/// <summary>One segment as a file.</summary>
internal sealed class FileSegment(string path, long first, SafeFileHandle file) : ISegment
{
    private static readonly byte[] Zeros = new byte[256 * 1024];

    private long _length = RandomAccess.GetLength(file);

    public string Name => path;

    public long First => first;

    public long Length => Volatile.Read(ref _length);

    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        PrivateFile.Write(file, bytes, offset);
        DiskSync.Data(file, path);
        Volatile.Write(ref _length, Math.Max(_length, offset + bytes.Length));
    }

    public void Extend(long length)
    {
        LayOut(file, path, _length, length, inSteps: false);
        Volatile.Write(ref _length, Math.Max(_length, length));
    }

    /// <summary>Zeros, durable when it returns.</summary>
    /// <param name="inSteps">Longer as a whole, but a commit to another file meanwhile waits for a step and not for all.</param>
    public static void LayOut(SafeFileHandle file, string path, long from, long to, bool inSteps)
    {
        for (var at = from; at < to; at += Zeros.Length)
        {
            PrivateFile.Write(file, Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, to - at)), at);
            if (inSteps)
            {
                DiskSync.Data(file, path);
            }
        }
        DiskSync.Data(file, path);
    }

    public int Read(long offset, Span<byte> into)
    {
        var read = 0;
        while (read < into.Length)
        {
            var count = RandomAccess.Read(file, into[read..], offset + read);
            if (count == 0)
            {
                break;
            }
            read += count;
        }
        return read;
    }

    public void Truncate(long length)
    {
        RandomAccess.SetLength(file, length);
        RandomAccess.FlushToDisk(file);
        Volatile.Write(ref _length, length);
    }

    public void Dispose() => file.Dispose();
}

/// <summary>Files and folders of the store are the broker's alone: there are payloads in them.</summary>
internal static class PrivateFile
{
    public static SafeFileHandle Create(string path)
    {
        var file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.Read);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
        return file;
    }

    /// <summary>Like the framework's, with an IOException for every refusal of the disk.</summary>
    public static void Write(SafeFileHandle file, ReadOnlySpan<byte> bytes, long offset)
    {
        try
        {
            RandomAccess.Write(file, bytes, offset);
        }
        catch (ArgumentOutOfRangeException e)
        {
            // A limit of the file system, or of the process, on the size of a file.
            throw new IOException("the file may not grow any further (limit of the file system, or ulimit -f)", e);
        }
    }

    public static void CreateFolder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(path);
        }
        else
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }
}
