using System.Buffers.Binary;

namespace IotHub.Broker.Durability;

/// <summary>
/// Records that wait for one commit, laid out as the bytes of its blocks, so that a commit is one write. A record's position is known
/// when it begins: blocks stand behind each other without holes, in whichever segment they end up.
/// </summary>
internal sealed class LogBuffer(LogOptions options)
{
    private const int BytesAtFirst = 4096;

    private byte[] _bytes = new byte[BytesAtFirst];
    private int[] _blocks = new int[4];
    private int _blockCount;
    private bool _blockOpen;
    private int _record = -1;

    /// <summary>Position of its first byte.</summary>
    public long Start { get; private set; }

    public int Fill { get; private set; }

    public int Records { get; private set; }

    public LogClock Clock { get; set; }

    /// <summary>Counted here until it is known which segment the commit ended up in.</summary>
    public long References { get; set; }

    public long AppendedReferences { get; set; }

    public bool HasOpenRecord => _record >= 0;

    public long End => Start + Fill;

    public long NextPosition => End + (_blockOpen ? 0 : LogFormat.BlockHeaderBytes);

    public ReadOnlySpan<byte> Bytes => _bytes.AsSpan(0, Fill);

    public void Reset(long start)
    {
        Start = start;
        Fill = Records = _blockCount = 0;
        _blockOpen = false;
        _record = -1;
        References = AppendedReferences = 0;
        if (_bytes.Length > options.BufferBytesKept)
        {
            _bytes = new byte[BytesAtFirst];
        }
    }

    public long Begin(byte kind)
    {
        if (_record >= 0)
        {
            throw new InvalidOperationException("a record is open already");
        }
        if (!_blockOpen)
        {
            OpenBlock();
        }
        _record = Fill;
        Reserve(LogFormat.RecordHeaderBytes)[4] = kind;
        return Start + _record;
    }

    public Span<byte> Take(int size)
    {
        ThrowIfNone();
        return Reserve(size);
    }

    public Span<byte> Written(int offset, int size)
    {
        ThrowIfNone();
        return _bytes.AsSpan(_record + LogFormat.RecordHeaderBytes, Fill - _record - LogFormat.RecordHeaderBytes).Slice(offset, size);
    }

    public void EndRecord()
    {
        ThrowIfNone();
        var length = Fill - _record - LogFormat.RecordHeaderBytes;
        BinaryPrimitives.WriteInt32LittleEndian(_bytes.AsSpan(_record), length);
        Reserve(LogFormat.Padded(length) - length).Clear();
        _record = -1;
        Records++;
        if (Fill - _blocks[_blockCount - 1] >= options.BlockBytesMaximum)
        {
            _blockOpen = false;
        }
    }

    public void Abandon()
    {
        ThrowIfNone();
        Fill = _record;
        _record = -1;
    }

    /// <summary>No more records: a block that holds none, left by an abandoned record, is dropped.</summary>
    public void Close()
    {
        if (_blockOpen && Fill == _blocks[_blockCount - 1] + LogFormat.BlockHeaderBytes)
        {
            Fill = _blocks[--_blockCount];
        }
        _blockOpen = false;
    }

    /// <summary>Makes it one block without records.</summary>
    public void BecomeMark()
    {
        OpenBlock();
        _blockOpen = false;
    }

    /// <summary>Writes the headers. Runs outside the lock: what readers of records look at does not change.</summary>
    public void Seal(uint seed)
    {
        for (var i = 0; i < _blockCount; i++)
        {
            var start = _blocks[i];
            var end = i + 1 < _blockCount ? _blocks[i + 1] : Fill;
            CheckRecords(start + LogFormat.BlockHeaderBytes, end, seed);
            LogFormat.SealBlock(_bytes.AsSpan(start, end - start), seed, new BlockHeader(
                end - start - LogFormat.BlockHeaderBytes, BlockKind.Records, i == _blockCount - 1, Start + start, Start, Clock));
        }
    }

    /// <returns>Length of the body, now at the front of <paramref name="into"/>, or -1.</returns>
    public int Read(long position, ref byte[] into, out byte kind)
    {
        var at = position - Start;
        if (at < 0 || at + LogFormat.RecordHeaderBytes > Fill || at == _record)
        {
            kind = 0;
            return -1;
        }
        var record = _bytes.AsSpan((int)at);
        kind = record[4];
        var length = BinaryPrimitives.ReadInt32LittleEndian(record);
        if (length > into.Length)
        {
            into = new byte[Math.Max(length, Math.Min(2 * into.Length, Array.MaxLength))];
        }
        record.Slice(LogFormat.RecordHeaderBytes, length).CopyTo(into);
        return length;
    }

    private void CheckRecords(int at, int end, uint seed)
    {
        while (at < end)
        {
            var record = _bytes.AsSpan(at);
            var length = BinaryPrimitives.ReadInt32LittleEndian(record);
            var body = record.Slice(LogFormat.RecordHeaderBytes, length);
            LogFormat.WriteRecordCheck(record, LogFormat.RecordCheck(seed, Start + at, record[4], body));
            at += LogFormat.RecordHeaderBytes + LogFormat.Padded(length);
        }
    }

    private void OpenBlock()
    {
        if (_blockCount == _blocks.Length)
        {
            Array.Resize(ref _blocks, 2 * _blockCount);
        }
        _blocks[_blockCount++] = Fill;
        Reserve(LogFormat.BlockHeaderBytes);
        _blockOpen = true;
    }

    private Span<byte> Reserve(int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(size);
        var end = (long)Fill + size;
        if (end > _bytes.Length)
        {
            if (end > Array.MaxLength)
            {
                throw new InvalidOperationException("more than 2 GB wait for the disk");
            }
            Array.Resize(ref _bytes, (int)Math.Min(Math.Max(end, 2L * _bytes.Length), Array.MaxLength));
        }
        var span = _bytes.AsSpan(Fill, size);
        Fill += size;
        return span;
    }

    private void ThrowIfNone()
    {
        if (_record < 0)
        {
            throw new InvalidOperationException("no record is open");
        }
    }
}
