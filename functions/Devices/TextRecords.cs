using System.Buffers;

namespace IotHub.Functions.Devices;

/// <summary>Why a record cannot be taken as it is.</summary>
internal enum RecordFault
{
    None,

    /// <summary>It is longer than a record may be; the next one is not affected.</summary>
    TooLong,

    /// <summary>A quote is not closed within the length of a record, or not at all. Nobody can tell where the next one begins.</summary>
    QuoteOpen,
}

/// <summary>A piece of text between two line ends.</summary>
/// <param name="Line">In which line it begins, counted from 1.</param>
/// <param name="Bytes">Without its line end; holds until the next record is read. Nothing when there is a fault.</param>
internal readonly record struct TextRecord(int Line, ReadOnlyMemory<byte> Bytes, RecordFault Fault = RecordFault.None);

/// <summary>
/// Splits a text into records while it comes in, with no more of it in memory than one record. A record is a line; where quotes count, as
/// in CSV, line ends between quotes are a part of it. Every byte is looked at once.
/// </summary>
internal sealed class TextRecords(Stream text, bool quotesCount, int maximumBytes)
{
    private const int BufferBytes = 16 * 1024;

    private readonly byte[] _buffer = new byte[BufferBytes];
    private readonly ArrayBufferWriter<byte> _begun = new();
    private int _from;
    private int _to;
    private int _line = 1;
    private Place _place = Place.Beginning;
    private bool _isTooLong;
    private int _quotedBytes;
    private bool _hasMore = true;
    private bool _ignoresLineFeed;
    private bool _isFirst = true;

    private enum Place { Beginning, Plain, Quoted, AfterQuote }

    /// <summary>The next record that is not empty, or null behind the last one.</summary>
    /// <exception cref="IOException">The text does not come to its end.</exception>
    public async ValueTask<TextRecord?> Next(CancellationToken cancel)
    {
        _begun.ResetWrittenCount();
        _isTooLong = false;
        _place = Place.Beginning;
        var begin = _line;
        while (_hasMore)
        {
            if (_from == _to)
            {
                (_from, _to) = (0, await text.ReadAsync(_buffer, cancel));
                _hasMore = _to > 0;
                continue;
            }
            if (_ignoresLineFeed)
            {
                _ignoresLineFeed = false;
                _from += _buffer[_from] == '\n' ? 1 : 0;
                continue;
            }
            var start = _from;
            var isWhole = Scan(_buffer.AsSpan(0, _to));
            var piece = _buffer.AsMemory(start, _from - start - (isWhole ? 1 : 0));
            _isTooLong |= _begun.WrittenCount + piece.Length > maximumBytes;
            if (_place == Place.Quoted && _quotedBytes > maximumBytes)
            {
                _hasMore = false;
                return new TextRecord(begin, default, RecordFault.QuoteOpen);
            }
            if (!isWhole)
            {
                Keep(piece.Span);
                continue;
            }
            if (Whole(begin, piece) is { } record)
            {
                return record;
            }
            begin = _line;
            _begun.ResetWrittenCount();
        }
        return _place == Place.Quoted ? new TextRecord(begin, default, RecordFault.QuoteOpen) : Whole(begin, default);
    }

    /// <summary>Reads on to the end, and forgets what it reads.</summary>
    public async Task Drain(CancellationToken cancel)
    {
        while (await text.ReadAsync(_buffer, cancel) > 0)
        {
        }
    }

    private void Keep(ReadOnlySpan<byte> piece)
    {
        if (!_isTooLong)
        {
            _begun.Write(piece);
        }
    }

    /// <summary>The record that ends here; null when it is empty.</summary>
    private TextRecord? Whole(int begin, ReadOnlyMemory<byte> last)
    {
        if (_isTooLong)
        {
            return new TextRecord(begin, default, RecordFault.TooLong);
        }
        var bytes = last;
        if (_begun.WrittenCount > 0)
        {
            _begun.Write(last.Span);
            bytes = _begun.WrittenMemory;
        }
        if (_isFirst && bytes.Span.StartsWith("\uFEFF"u8))
        {
            bytes = bytes["\uFEFF"u8.Length..];
        }
        _isFirst = false;
        return bytes.Span.TrimStart(" \t\r"u8).IsEmpty ? null : new TextRecord(begin, bytes);
    }

    /// <summary>Goes on behind the end of the record, or to the end of the span.</summary>
    /// <returns>True when the record ends; its last byte is the line end.</returns>
    private bool Scan(ReadOnlySpan<byte> bytes)
    {
        while (_from < bytes.Length)
        {
            var rest = bytes[_from..];
            switch (_place)
            {
                case Place.Beginning when quotesCount && rest[0] == '"':
                    (_place, _quotedBytes) = (Place.Quoted, 0);
                    _from++;
                    break;
                case Place.Quoted:
                    var quote = rest.IndexOf((byte)'"');
                    var inside = quote < 0 ? rest : rest[..quote];
                    _line += inside.Count((byte)'\n');
                    _quotedBytes += inside.Length;
                    _from += inside.Length + (quote < 0 ? 0 : 1);
                    _place = quote < 0 ? Place.Quoted : Place.AfterQuote;
                    break;
                case Place.AfterQuote when rest[0] == '"':
                    _place = Place.Quoted;
                    _from++;
                    break;
                default:
                    if (ScanPlain(rest))
                    {
                        return true;
                    }
                    break;
            }
        }
        return false;
    }

    private bool ScanPlain(ReadOnlySpan<byte> rest)
    {
        var stop = quotesCount ? rest.IndexOfAny(",\r\n"u8) : rest.IndexOf((byte)'\n');
        _from += stop < 0 ? rest.Length : stop + 1;
        if (stop < 0)
        {
            _place = Place.Plain;
            return false;
        }
        _place = Place.Beginning;
        if (rest[stop] == ',')
        {
            return false;
        }
        _line++;
        _ignoresLineFeed = rest[stop] == '\r';
        return true;
    }
}
