using System.Globalization;
using System.Text;

namespace IotHub.Broker.Durability;

/// <summary>
/// Which segments of a shard there must be, kept beside them: a segment that is missing between two is named by its neighbours, the
/// oldest and the newest have none. In step with docs/formats/log.md.
/// </summary>
/// <param name="Oldest">First position of the oldest segment that may not be missing. Older ones may be there: about to be deleted.</param>
/// <param name="Newest">First position of the newest that may not be missing. A newer one may be there: not written to yet.</param>
internal readonly record struct SegmentRange(long Oldest, long Newest)
{
    private const int Version = 1;
    private const string FirstWord = "iothub-segments";

    public static SegmentRange Of(IReadOnlyList<ISegment> segments) => new(segments[0].First, segments[^1].First);

    public void Write(IShardFiles files)
    {
        var text = string.Create(CultureInfo.InvariantCulture, $"{FirstWord} {Version}\noldest {Oldest}\nnewest {Newest}\n");
        files.WriteNote(Encoding.ASCII.GetBytes(text + Check(files, text)));
    }

    /// <summary>Null in a shard that an older broker made.</summary>
    /// <exception cref="DamagedLogException">It is not what was written.</exception>
    /// <exception cref="StartException">A newer broker wrote it.</exception>
    public static SegmentRange? Read(IShardFiles files)
    {
        if (files.ReadNote() is not { } bytes)
        {
            return null;
        }
        var text = Encoding.ASCII.GetString(bytes);
        var lines = text.Split('\n');
        var check = text.LastIndexOf("check ", StringComparison.Ordinal);
        if (check < 0 || text[check..] != Check(files, text[..check]) || Number(lines[0], FirstWord) is not { } version)
        {
            throw NotWhole(files, "the note of its segments is damaged, or that of another shard");
        }
        if (version > Version)
        {
            throw new StartException(
                $"{files.Name} was written by a newer broker (note of segments {version}; this one reads up to {Version})");
        }
        return lines.Length > 2 && Number(lines[1], "oldest") is { } oldest && Number(lines[2], "newest") is { } newest
            ? new SegmentRange(oldest, newest) : throw NotWhole(files, "the note of its segments does not say which they are");
    }

    /// <exception cref="DamagedLogException">The oldest or the newest of the segments is missing.</exception>
    public void ThrowIfMissing(IShardFiles files, IReadOnlyList<ISegment> segments)
    {
        if (segments[0].First > Oldest)
        {
            throw NotWhole(files, $"its oldest segment is missing, with positions {Oldest} to {segments[0].First}");
        }
        if (segments[^1].First < Newest)
        {
            throw NotWhole(files, $"its newest segment is missing, with all positions from {Newest} on");
        }
    }

    private static DamagedLogException NotWhole(IShardFiles files, string what) => new($"{files.Name} is not whole: {what}", files.Name);

    private static long? Number(string line, string name) => line.Split(' ') is [var first, var number] && first == name
        && long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;

    private static string Check(IShardFiles files, string text) => string.Create(
        CultureInfo.InvariantCulture,
        $"check {Crc32C.Finish(Crc32C.Append(LogFormat.Seed(files.StoreId, files.Shard), Encoding.ASCII.GetBytes(text))):x8}\n");
}
