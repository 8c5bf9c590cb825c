//! The terminal: taken over at the beginning and given back at the end, whatever ends the program.
//!
//! What is taken is given back once, by whoever comes first: the guard when it is dropped, the hook when something
//! panics, the loop when the process is stopped. A signal that ends the process ends the loop, and that the guard.

use std::io::{self, BufWriter, Stdout, Write};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use tokio::sync::mpsc;

use super::app::Input;
use super::keys::Key;

/// A picture is written in one go: a screen of text with its colours fits.
const PICTURE_BYTES: usize = 64 * 1024;

/// The terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// The mouse is ours, too.
static MOUSE: AtomicBool = AtomicBool::new(false);
/// The hook stands for the rest of the process.
static HOOK: Once = Once::new();

/// How the dashboard draws.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stdout>>>;

/// While it lives, the terminal is ours.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When it cannot be steered.
    pub fn new(mouse: bool) -> io::Result<Self> {
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                leave();
                before(info);
            }));
        });
        MOUSE.store(mouse, Ordering::SeqCst);
        enter()?;
        Ok(Self(()))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        leave();
    }
}

/// Takes the terminal.
///
/// # Errors
/// When it cannot be steered; what was taken is given back.
pub fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let mut out = io::stdout();
    let mut entered = execute!(out, EnterAlternateScreen, EnableBracketedPaste, Hide);
    if MOUSE.load(Ordering::SeqCst) && entered.is_ok() {
        entered = execute!(out, EnableMouseCapture);
    }
    if entered.is_err() {
        leave();
    }
    entered
}

/// Gives the terminal back; a second time does nothing.
pub fn leave() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stdout();
    // Each by itself: what fails must not keep the others from being done. Nobody is left who could be told.
    let mouse = MOUSE.load(Ordering::SeqCst);
    let results = [
        if mouse {
            execute!(out, DisableMouseCapture)
        } else {
            Ok(())
        },
        execute!(out, DisableBracketedPaste, LeaveAlternateScreen, Show),
        disable_raw_mode(),
    ];
    drop(results);
}

/// Takes the terminal once more, after somebody else had it: a shell that was shown while this process was stopped from
/// outside. In the background the process stops here until it is in the foreground. Nothing if it is not taken.
///
/// # Errors
/// When it cannot be steered.
pub fn take_again() -> io::Result<()> {
    if !TAKEN.load(Ordering::SeqCst) {
        return Ok(());
    }
    // A terminal that is taken already would be left as the shell made it: it is given back first.
    disable_raw_mode()?;
    enter()
}

/// A terminal to draw on.
///
/// # Errors
/// When its size cannot be asked.
pub fn screen() -> io::Result<Screen> {
    let out = BufWriter::with_capacity(PICTURE_BYTES, io::stdout());
    Terminal::new(CrosstermBackend::new(out))
}

/// Puts text into the clipboard, where the terminal takes it (OSC 52). The text is base64 and steers nothing.
///
/// # Errors
/// When it cannot be written.
pub fn copy(text: &str) -> io::Result<()> {
    let encoded = data_encoding::BASE64.encode(text.as_bytes());
    let mut out = io::stdout();
    write!(out, "\u{1b}]52;c;{encoded}\u{1b}\\")?;
    out.flush()
}

/// Stops the process, as Ctrl-Z does, and returns when it goes on.
///
/// # Errors
/// When the terminal cannot be taken again.
pub fn suspend() -> io::Result<()> {
    leave();
    let own = rustix::process::getpid();
    rustix::process::kill_process(own, rustix::process::Signal::STOP)?;
    enter()
}

/// Reads keys until nobody wants them any more. It blocks: it has a thread of its own, which ends with the process.
pub fn read(input: &mpsc::Sender<Input>) {
    while let Ok(event) = event::read() {
        let Some(message) = of_event(event) else {
            continue;
        };
        if input.blocking_send(message).is_err() {
            return;
        }
    }
}

fn of_event(event: Event) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => of_key(key).map(Input::Key),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::Resize(columns, rows) => Some(Input::Resize(columns, rows)),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::Down(MouseButton::Left) => Some(Input::Click(mouse.column, mouse.row)),
            MouseEventKind::ScrollUp => Some(Input::Key(Key::Up)),
            MouseEventKind::ScrollDown => Some(Input::Key(Key::Down)),
            MouseEventKind::Down(_)
            | MouseEventKind::Up(_)
            | MouseEventKind::Drag(_)
            | MouseEventKind::Moved
            | MouseEventKind::ScrollLeft
            | MouseEventKind::ScrollRight => None,
        },
        Event::Key(_) | Event::FocusGained | Event::FocusLost => None,
    }
}

fn of_key(key: KeyEvent) -> Option<Key> {
    let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
    Some(match key.code {
        KeyCode::Char(c) if is_ctrl => Key::Ctrl(c.to_ascii_lowercase()),
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Esc,
        KeyCode::Tab => Key::Tab,
        KeyCode::BackTab => Key::BackTab,
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::Left => Key::Left,
        KeyCode::Right => Key::Right,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Backspace => Key::Backspace,
        KeyCode::Delete => Key::Delete,
        KeyCode::Insert
        | KeyCode::F(_)
        | KeyCode::Null
        | KeyCode::CapsLock
        | KeyCode::ScrollLock
        | KeyCode::NumLock
        | KeyCode::PrintScreen
        | KeyCode::Pause
        | KeyCode::Menu
        | KeyCode::KeypadBegin
        | KeyCode::Media(_)
        | KeyCode::Modifier(_) => return None,
    })
}
