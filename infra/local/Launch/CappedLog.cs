using System.Globalization;
using Microsoft.Extensions.Logging;

namespace IotHub.Local.Launch;

/// <summary>
/// A log file that stays small: at the start and when it is full it becomes <c>name.1.log</c>, in place of the one before. Its last
/// lines are at hand, to be shown when its writer dies.
/// </summary>
public sealed class CappedLog : IDisposable
{
    private const int TailLines = 20;
    private readonly Lock _gate = new();
    private readonly long _bytesMax;
    private readonly Queue<string> _tail = new();
    private StreamWriter? _writer;

    public CappedLog(string path, long bytesMax = 8 * 1024 * 1024)
    {
        FilePath = path;
        _bytesMax = bytesMax;
        _writer = Open();
    }

    public string FilePath { get; }

    public IReadOnlyList<string> Tail
    {
        get
        {
            lock (_gate)
            {
                return [.. _tail];
            }
        }
    }

    public void WriteLine(string line)
    {
        lock (_gate)
        {
            _tail.Enqueue(line);
            if (_tail.Count > TailLines)
            {
                _tail.Dequeue();
            }
            if (_writer is null)
            {
                return;
            }
            if (_writer.BaseStream.Length > _bytesMax)
            {
                _writer.Dispose();
                _writer = Open();
            }
            _writer.WriteLine(line);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _writer?.Dispose();
            _writer = null;
        }
    }

    private StreamWriter Open()
    {
        if (File.Exists(FilePath))
        {
            File.Move(FilePath, Path.ChangeExtension(FilePath, ".1.log"), overwrite: true);
        }
        var file = new FileStream(FilePath, FileMode.Create, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete);
        return new StreamWriter(file) { AutoFlush = true };
    }
}

/// <summary>Writes the stand-in host's log records, one line each, into a <see cref="CappedLog"/>.</summary>
public sealed class CappedLogProvider(CappedLog log, TimeProvider time) : ILoggerProvider
{
    public ILogger CreateLogger(string categoryName) => new LineLogger(log, time, categoryName);

    public void Dispose()
    {
        // The file belongs to who opened it.
    }

    private sealed class LineLogger(CappedLog log, TimeProvider time, string category) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(
            LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var at = time.GetUtcNow().ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture);
            var error = exception is null ? "" : $" | {exception.GetType().Name}: {exception.Message.ReplaceLineEndings(" ")}";
            log.WriteLine($"{at} {logLevel} {category}: {formatter(state, exception)}{error}");
        }
    }
}
